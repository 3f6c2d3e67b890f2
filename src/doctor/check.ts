import type { ServiceCore } from "../core/service-core.ts";

/** What a check found. */
export interface Finding {
	readonly state: "ok" | "warning" | "failed";
	/** In words. */
	readonly found: string;
	/** What to do about it; absent where all is well. */
	readonly remedy?: string;
}

/** One line of the doctor's report. */
export interface Check extends Finding {
	/** `connection`, `kv store`, … */
	readonly name: string;
}

export interface DoctorOptions {
	/** The folder of your own migrations. @default none: only what the ledger records of them */
	readonly migrations?: string | undefined;
}

/** @internal What is examined; every statement sent by it is limited. */
export type Examined = Pick<
	ServiceCore,
	| "db"
	| "replica"
	| "registry"
	| "settings"
	| "embedder"
	| "embeddings"
	| "kv"
	| "indexer"
	| "schema"
>;

/** @internal Makes one check; without findings it is not reported. */
export type RunCheck = (
	core: Examined,
	options: DoctorOptions,
) => Promise<Finding | readonly Finding[]>;

export const ok = (found: string): Finding => ({ state: "ok", found });

export const warning = (found: string, remedy: string): Finding => ({
	state: "warning",
	found,
	remedy,
});

export const failed = (found: string, remedy: string): Finding => ({
	state: "failed",
	found,
	remedy,
});

/** `a, b, c and 4 more` */
export function some(items: readonly string[], shown = 3): string {
	const more = items.length - shown;
	return `${items.slice(0, shown).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** `1 table`, `2 tables` */
export function counted(count: number, noun: string): string {
	return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

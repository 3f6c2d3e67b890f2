import type { BenchServer } from "./bench-server.ts";

/** What a case measures, and what there is to measure it with. */
export interface BenchCase {
	/** For `--only`. */
	readonly name: string;
	readonly run: (context: Context) => Promise<Figure[]>;
}

export interface Context {
	readonly server: BenchServer;
	/** Everything small, for a look in under a minute. */
	readonly quick: boolean;
	/** The sizes that take hours as well. */
	readonly full: boolean;
	/** Paired rounds; at least 5, or a median says little. */
	readonly rounds: number;
	/** Folder in which the user installed the peers. */
	readonly peersFolder: string | undefined;
	/** Tells the person who waits what is under way. */
	readonly say: (line: string) => void;
}

/** One line of the table. */
export interface Figure {
	readonly name: string;
	/** One value a round: the table shows their median, least and most. */
	readonly values: readonly number[];
	readonly unit: Unit;
	/** What the median is held against; without one it is there to know. */
	readonly target?: Target;
	/** Absolute figures: they belong to the machine, ratios to the code. */
	readonly detail?: string;
}

export type Unit = "×" | "%" | "ms" | "MB" | "calls" | "rows/s";

export type Target =
	| { readonly kind: "at most"; readonly bound: number }
	| { readonly kind: "at least"; readonly bound: number }
	| { readonly kind: "below"; readonly bound: number };

export function atMost(bound: number): Target {
	return { kind: "at most", bound };
}

export function atLeast(bound: number): Target {
	return { kind: "at least", bound };
}

export function below(bound: number): Target {
	return { kind: "below", bound };
}

import type { JsonObject } from "./api.ts";

/** A call of the service, to be copied as code. */
export interface ServiceCall {
	readonly verb: string;
	readonly options: JsonObject;
}

interface CallScope {
	readonly tenantId: string;
	readonly userId: string | null | undefined;
}

/** `await service.scope({ tenantId: "acme" }).recall({ query: "…" })` */
export function typescriptOf(
	{ tenantId, userId }: CallScope,
	{ verb, options }: ServiceCall,
): string {
	const scope = { tenantId, ...(userId === undefined ? {} : { userId }) };
	return `await service.scope(${JSON.stringify(scope)}).${verb}(${JSON.stringify(options, null, 2)})`;
}

/** `rem recall 'a question' --tenant acme`: what the options have no form for is left out. */
export function shellOf(
	{ tenantId, userId }: CallScope,
	words: readonly (string | readonly [option: string, value: unknown])[],
): string {
	const all = [
		...words,
		["--tenant", tenantId] as const,
		["--user", userId ?? undefined] as const,
	];
	return all
		.flatMap((word) => {
			if (typeof word === "string") return [word];
			const [option, value] = word;
			return value === undefined ? [] : [option, quoted(String(value))];
		})
		.join(" ");
}

/** For a POSIX shell: nothing in it is special. */
export function quoted(text: string): string {
	return /^[\w./:=,-]+$/.test(text)
		? text
		: `'${text.replaceAll("'", `'\\''`)}'`;
}

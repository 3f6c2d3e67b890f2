import { RemError } from "../errors.ts";
import { quoted } from "../util/suggest.ts";

/** An entity as a tool names it: its table, and its key or its id. */
export interface EntityName {
	readonly table: string;
	readonly key: string;
}

const scheme = "rem://";

/** The template of every entity's address. */
export const uriTemplate = "rem://{table}/{key}";

/** `rem://documents/doc-1`; an entity without a key has its id there. */
export function entityUri(
	table: string,
	key: string | null | undefined,
	id: string,
): string {
	// A URL without these segments would be another one.
	const isSegment = key === null || key === undefined || /^\.{1,2}$/.test(key);
	return `${scheme}${table}/${encodeURIComponent(isSegment ? id : key)}`;
}

/** The entity of an address, or of `table/key`. Throws `VALIDATION`. */
export function readEntityUri(given: string): EntityName {
	const path = given.startsWith(scheme) ? given.slice(scheme.length) : given;
	const slash = path.indexOf("/");
	const table = path.slice(0, slash);
	const rest = path.slice(slash + 1);
	const key = given.startsWith(scheme) ? decoded(rest) : rest;
	if (slash > 0 && key !== undefined && key !== "") return { table, key };
	throw new RemError("VALIDATION", `${quoted(given)} is not an entity's URI`, {
		hint: "pass a uri as a result of another tool has it, rem://table/key",
	});
}

function decoded(text: string): string | undefined {
	try {
		return decodeURIComponent(text);
	} catch {
		return undefined;
	}
}

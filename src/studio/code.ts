import type { JsonObject } from "./api/common.ts";

/** A call of the service, to be copied as code. */
export interface ServiceCall {
	readonly verb: string;
	readonly options: JsonObject;
}

interface CallScope {
	readonly tenantId: string;
	readonly userId: string | null | undefined;
}

/** `await service.scope({ tenantId: "acme" }).recall({ query: "…" })`; of several calls, their rows. */
export function typescriptOf(
	{ tenantId, userId }: CallScope,
	calls: readonly ServiceCall[],
): string {
	const scope = { tenantId, ...(userId === undefined ? {} : { userId }) };
	const bound = `service.scope(${onOneLine(scope)})`;
	const [first = "", ...more] = calls.map(
		({ verb, options }) => `await ${bound}.${verb}(${onLines(options)})`,
	);
	if (more.length === 0) return first;
	const lines = [first, ...more].map((call) =>
		`  ${call},`.replaceAll("\n", "\n  "),
	);
	return `[\n${lines.join("\n")}\n].flat()`;
}

/** `{ tenantId: "acme" }` */
export function onOneLine(values: JsonObject): string {
	const parts = Object.entries(values).map(
		([name, value]) => `${name}: ${JSON.stringify(value)}`,
	);
	return `{ ${parts.join(", ")} }`;
}

/** A text of JSON has no line breaks: what begins a line is a name. */
function onLines(values: JsonObject): string {
	return JSON.stringify(values, null, 2).replace(
		/^( *)"([A-Za-z_]\w*)": /gm,
		"$1$2: ",
	);
}

export interface Command {
	/** `rem recall` */
	readonly name: string;
	readonly text: string;
	/** What has no value is left out. */
	readonly options?: readonly (readonly [option: string, value: unknown])[];
}

/** `rem recall 'a question' --tenant acme`: what the options have no form for is left out. */
export function shellOf(
	{ tenantId, userId }: CallScope,
	{ name, text, options = [] }: Command,
): string {
	const all = [
		...options,
		["--tenant", tenantId] as const,
		["--user", userId ?? undefined] as const,
	].flatMap(([option, value]) =>
		value === undefined ? [] : [option, quoted(String(value))],
	);
	// A text that looks like an option must not be read as one.
	const words = text.startsWith("-")
		? [name, ...all, "--", quoted(text)]
		: [name, quoted(text), ...all];
	return words.join(" ");
}

/** For a POSIX shell: nothing in it is special. */
function quoted(text: string): string {
	return /^[\w./:=,-]+$/.test(text)
		? text
		: `'${text.replaceAll("'", `'\\''`)}'`;
}

import { RemError } from "../errors.ts";
import { limits } from "../models/limits.ts";
import type { OfferedTool } from "./catalogue.ts";
import { isScopeName } from "./remember.ts";
import type { ToolAnswer, ToolCall } from "./tool.ts";
import { invalidArguments, toolError } from "./tool-error.ts";

/** Estimated tokens of an answer, by default. */
export const usualMaxTokens = 4000;

/**
 * Calls a tool with what a model wrote: anything. Throws a `RemError` only,
 * `CANCELLED` as soon as the signal is aborted.
 */
export async function callTool(
	{ tool, prepare, names }: OfferedTool,
	call: ToolCall,
	given: unknown,
): Promise<ToolAnswer> {
	try {
		checkScopeNames(tool.name, given);
		checkDepth(tool.name, given);
		const prepared = prepare(given ?? {});
		if ("issues" in prepared)
			throw invalidArguments(tool.name, prepared.issues, names);
		if (call.signal?.aborted) throw cancelled();
		return await unlessAborted(prepared.run(call), call.signal);
	} catch (error) {
		throw toolError(error, tool.name);
	}
}

/** The connection decides whose memory it is. */
function checkScopeNames(tool: string, given: unknown): void {
	if (typeof given !== "object" || given === null) return;
	const name = Object.keys(given).find(isScopeName);
	if (name === undefined) return;
	throw new RemError(
		"TENANT_MISMATCH",
		`${tool} takes no ${name}: tenant and user are those of the connection`,
		{
			hint: `leave ${name} out`,
			issues: [{ field: name, message: "is not an argument" }],
		},
	);
}

/** What is nested deeper could not be stored, and would end in a stack overflow. */
function checkDepth(tool: string, given: unknown): void {
	let level: unknown[] = [given];
	for (let depth = 0; level.length > 0; depth++) {
		if (depth > limits.jsonDepth)
			throw new RemError(
				"INPUT_LIMIT",
				`the arguments of ${tool} are nested deeper than ${limits.jsonDepth} levels`,
				{ hint: "pass flatter arguments" },
			);
		level = level.flatMap((value) =>
			typeof value === "object" && value !== null ? Object.values(value) : [],
		);
	}
}

/** The work, or `CANCELLED`: what the database still does for it is of no use to anybody. */
function unlessAborted<T>(
	work: Promise<T>,
	signal: AbortSignal | undefined,
): Promise<T> {
	if (signal === undefined) return work;
	return new Promise((resolve, reject) => {
		const cancel = () => reject(cancelled());
		signal.addEventListener("abort", cancel, { once: true });
		work
			.then(resolve, reject)
			.finally(() => signal.removeEventListener("abort", cancel));
	});
}

function cancelled(): RemError {
	return new RemError("CANCELLED", "the call was cancelled");
}

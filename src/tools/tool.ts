import type * as z from "zod";
import type { Registry } from "../models/registry.ts";
import type { ServiceScope } from "../service/scope.ts";
import type { Models } from "../verbs/call-options.ts";

/** The verbs of one tenant, and optionally one user: all that a tool can reach. */
export type MemoryScope = ServiceScope<Models>;

/** JSON Schema of a tool's arguments. */
export type ArgumentsSchema = Readonly<Record<string, unknown>> & {
	readonly type: "object";
};

/** What a tool may see and do. */
export interface ToolAccess {
	readonly registry: Registry;
	/** Names of the tables that tools may read and write, in the order of the registry. */
	readonly tables: readonly string[];
	/** Whether the service has other tables, which stay hidden. */
	readonly isRestricted: boolean;
	readonly isReadOnly: boolean;
}

/** One call of a tool. */
export interface ToolCall {
	readonly scope: MemoryScope;
	readonly access: ToolAccess;
	/** Most tokens of the answer, as they are estimated. */
	readonly maxTokens: number;
	readonly signal?: AbortSignal | undefined;
	readonly onProgress?: ((progress: ToolProgress) => void) | undefined;
}

interface ToolProgress {
	readonly done: number;
	readonly total: number | undefined;
	readonly message: string;
}

/** The answer of a tool: the same once for programs, once for a model to read. */
export interface ToolAnswer {
	/** JSON: no dates, no bigints. */
	readonly content: Readonly<Record<string, unknown>>;
	/** The same in few words. */
	readonly text: string;
}

/** The behaviour that a host shows, or asks its user about. */
export interface ToolBehaviour {
	readonly isReadOnly: boolean;
	/** Whether it may remove or replace what is stored. */
	readonly isDestructive: boolean;
	/** Whether the same call again changes nothing more. */
	readonly isIdempotent: boolean;
}

/** A tool, written once for MCP and the AI SDK. */
export interface Tool {
	readonly name: string;
	readonly title: string;
	/** For a model: what it is for, and when to use another tool. */
	readonly description: string;
	readonly behaviour: ToolBehaviour;
	/** Only of the full surface. @default false */
	readonly isExtra?: boolean;
	/** The tool with the arguments that the access allows. */
	open(access: ToolAccess): OpenTool;
	/** Completes the JSON Schema that is made of `input`. */
	finishSchema?(schema: ArgumentsSchema, access: ToolAccess): ArgumentsSchema;
}

export interface OpenTool {
	readonly input: z.ZodType;
	/** The call with these arguments, or what is wrong with them. */
	prepare(
		given: unknown,
	):
		| { readonly issues: readonly z.core.$ZodIssue[] }
		| { readonly run: (call: ToolCall) => Promise<ToolAnswer> };
}

interface ToolRecord<Input> extends Omit<Tool, "open"> {
	/** What its arguments must be; names of tables are checked here. */
	input(access: ToolAccess): z.ZodType<Input>;
	run(call: ToolCall, input: Input): Promise<ToolAnswer>;
}

/** The record of a tool; the type of its input is inferred. */
export function tool<Input>({
	input: inputOf,
	run,
	...record
}: ToolRecord<Input>): Tool {
	return {
		...record,
		open: (access) => {
			const input = inputOf(access);
			return {
				input,
				prepare: (given) => {
					const { data, error } = input.safeParse(given);
					return error === undefined
						? { run: (call) => run(call, data) }
						: { issues: error.issues };
				},
			};
		},
	};
}

export const reads: ToolBehaviour = {
	isReadOnly: true,
	isDestructive: false,
	isIdempotent: true,
};

/** The option of a verb that ends its work with the signal of the call. */
export function untilAborted(signal: AbortSignal | undefined): {
	readonly signal?: AbortSignal;
} {
	return signal === undefined ? {} : { signal };
}

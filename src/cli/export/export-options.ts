import type { ScopeOptions } from "../options.ts";

export interface ExportCommandOptions extends ScopeOptions {
	readonly table?: readonly string[];
	readonly output: string;
	readonly format: "jsonl" | "markdown";
	readonly vectors?: boolean;
	readonly deleted?: boolean;
}

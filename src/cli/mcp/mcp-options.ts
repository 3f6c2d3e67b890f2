import type { ScopeOptions } from "../options.ts";

/** Options of `rem mcp`. */
export interface McpCommandOptions extends ScopeOptions {
	readonly http?: number;
	readonly tokens?: string;
	readonly issuer?: string;
	readonly resource?: string;
	readonly readOnly?: boolean;
	readonly tables?: readonly string[];
	readonly surface?: "default" | "full";
	readonly maxTokens?: number;
}

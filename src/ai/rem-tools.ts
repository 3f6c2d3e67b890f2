import { jsonSchema, type ToolSet } from "ai";
import { isRemError, RemError, reading } from "../errors.ts";
import {
	anyText,
	flag,
	isRecord,
	listOf,
	oneOf,
	wholeNumber,
} from "../models/checks.ts";
import type { Entity } from "../models/entity.ts";
import {
	type OptionChecks,
	optionTable,
	takeOptions,
} from "../models/options.ts";
import type { ServiceScope } from "../service/scope.ts";
import { callTool, usualMaxTokens } from "../tools/call-tool.ts";
import {
	type Catalogue,
	openCatalogue,
	type Surface,
	surfaces,
} from "../tools/catalogue.ts";
import type { MemoryScope } from "../tools/tool.ts";
import { errorContent } from "../tools/tool-error.ts";

export interface RemToolsOptions {
	/** Only tools that read. @default false */
	readonly readOnly?: boolean;
	/** Tables that the tools may see. @default every table of the service */
	readonly tables?: readonly string[];
	/** Most tokens of a tool's result, as they are estimated. @default 4000 */
	readonly maxTokens?: number;
	/** `"full"`: also `fuzzy`, `query` and `about`. @default "default" */
	readonly surface?: Surface;
}

const checks: OptionChecks<RemToolsOptions> = {
	readOnly: flag,
	tables: listOf(anyText),
	maxTokens: wholeNumber(200, 1_000_000),
	surface: oneOf(...surfaces),
};

const optionsOfTools = optionTable(checks);

/**
 * The memory of a tenant, and perhaps a user, as tools of the AI SDK (versions 5
 * to 7): `recall`, `lookup`, `get`, `search`, `traverse`, `remember`, `link` and
 * `forget`. What a model does wrong is a result `{ error: { code, message, hint } }`.
 *
 * @example
 * const acme = service.scope({ tenantId: "acme-corp", userId: "sarah" })
 * await generateText({ model, prompt, tools: remTools(acme), stopWhen: stepCountIs(5) })
 */
export function remTools<M extends readonly Entity[]>(
	scope: ServiceScope<M>,
	options: RemToolsOptions = {},
): ToolSet {
	return reading("remTools", () => {
		const { maxTokens, ...more } = takeOptions(
			options,
			optionsOfTools,
			"remTools",
		);
		checkScope(scope);
		const catalogue = openCatalogue(scope.registry, more);
		return toolSet(
			scope as MemoryScope,
			catalogue,
			maxTokens ?? usualMaxTokens,
		);
	});
}

function checkScope(scope: unknown): void {
	if (isRecord(scope) && isRecord(scope.registry) && "lookupEntities" in scope)
		return;
	throw new RemError("VALIDATION", "remTools needs a scope", {
		hint: 'remTools(service.scope({ tenantId: "acme-corp" }))',
	});
}

function toolSet(
	scope: MemoryScope,
	{ access, tools }: Catalogue,
	maxTokens: number,
): ToolSet {
	return Object.fromEntries(
		[...tools].map(([name, offered]) => [
			name,
			{
				description: offered.tool.description,
				inputSchema: jsonSchema<unknown>({ ...offered.schema }),
				execute: async (
					input: unknown,
					{ abortSignal: signal }: { readonly abortSignal?: AbortSignal },
				) => {
					try {
						const call = { scope, access, maxTokens, signal };
						return (await callTool(offered, call, input)).content;
					} catch (error) {
						// A model must see the hint: the SDK passes on the message alone.
						if (isRemError(error) && error.code !== "CANCELLED")
							return { error: errorContent(error) };
						throw error;
					}
				},
			},
		]),
	);
}

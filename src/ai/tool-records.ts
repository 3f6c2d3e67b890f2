import { isRemError, RemError } from "../errors.ts";
import {
	anyText,
	flag,
	isRecord,
	listOf,
	oneOf,
	wholeNumber,
} from "../models/checks.ts";
import {
	type OptionChecks,
	optionTable,
	takeOptions,
} from "../models/options.ts";
import { callTool, usualMaxTokens } from "../tools/call-tool.ts";
import {
	type Catalogue,
	openCatalogue,
	type Surface,
	surfaces,
} from "../tools/catalogue.ts";
import type { ArgumentsSchema, MemoryScope } from "../tools/tool.ts";
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

/** A tool as every version of the AI SDK takes it, but for its schema. */
export interface ToolRecord<Schema> {
	readonly description: string;
	readonly inputSchema: Schema;
	execute(
		input: unknown,
		options: { readonly abortSignal?: AbortSignal | undefined },
	): Promise<unknown>;
}

/** The tools of a scope; a schema is made by the SDK whose they are to be. */
export function toolRecords<Schema>(
	scope: unknown,
	options: unknown,
	toSchema: (schema: ArgumentsSchema) => Schema,
): Record<string, ToolRecord<Schema>> {
	const { maxTokens, ...more } = takeOptions(
		options,
		optionsOfTools,
		"remTools",
	);
	checkScope(scope);
	const catalogue = openCatalogue(scope.registry, more);
	return records(scope, catalogue, {
		maxTokens: maxTokens ?? usualMaxTokens,
		toSchema,
	});
}

function checkScope(scope: unknown): asserts scope is MemoryScope {
	// A service has no tenant: it would be whatever the default one is.
	if (isRecord(scope) && "registry" in scope && "tenantId" in scope) return;
	throw new RemError("VALIDATION", "remTools needs a scope", {
		hint: 'remTools(service.scope({ tenantId: "acme-corp" }))',
	});
}

interface RecordOptions<Schema> {
	readonly maxTokens: number;
	readonly toSchema: (schema: ArgumentsSchema) => Schema;
}

function records<Schema>(
	scope: MemoryScope,
	{ access, tools }: Catalogue,
	{ maxTokens, toSchema }: RecordOptions<Schema>,
): Record<string, ToolRecord<Schema>> {
	const entries = [...tools].map(([name, offered]) => {
		const record: ToolRecord<Schema> = {
			description: offered.tool.description,
			inputSchema: toSchema(offered.schema),
			execute: async (input, { abortSignal: signal }) => {
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
		};
		return [name, record] as const;
	});
	return Object.fromEntries(entries);
}

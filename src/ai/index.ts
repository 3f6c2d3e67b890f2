/**
 * Tools for the AI SDK: the memory for `generateText` and `streamText`.
 *
 * @module remdb/ai
 */
import { jsonSchema, type ToolSet } from "ai";
import { reading } from "../errors.ts";
import type { Entity } from "../models/entity.ts";
import type { ServiceScope } from "../service/scope.ts";
import { type RemToolsOptions, toolRecords } from "./tool-records.ts";

export type { RemToolsOptions } from "./tool-records.ts";

/**
 * The memory of a tenant, and optionally a user, as tools of the AI SDK (versions 5
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
	return reading("remTools", () =>
		toolRecords(scope, options, (schema) => jsonSchema<unknown>({ ...schema })),
	);
}

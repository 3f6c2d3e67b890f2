import * as z from "zod";
import { limits } from "../models/limits.ts";
import type { EntityRequest } from "./api/entities.ts";
import type { SearchSettings } from "./api/search.ts";

// What requests have in common.

export const studioLimits = {
	searchLimit: 200,
	listLimit: 200,
	graphNodes: 300,
	queryTextLength: limits.queryTextLength,
} as const;

const name = z.string().max(400);

export const scopeInput = {
	tenantId: name.optional(),
	userId: name.nullable().optional(),
};

export const entityInput = {
	...scopeInput,
	entityType: name,
	entityId: name,
} satisfies Record<keyof EntityRequest, z.ZodType>;

const weight = z.number().min(0).max(1000).optional();

export const searchModes = [
	"recall",
	"hybrid",
	"vector",
	"text",
	"fuzzy",
	"lookup",
] as const;

export const settingsInput = {
	...scopeInput,
	query: z.string().max(studioLimits.queryTextLength),
	mode: z.enum(searchModes).optional(),
	tables: z.array(name).max(1000).optional(),
	weights: z
		.strictObject({ vector: weight, text: weight, name: weight })
		.optional(),
	filter: z.string().max(limits.queryBytes).optional(),
	limit: z.int().min(1).max(studioLimits.searchLimit).optional(),
	threshold: z.number().min(0).max(1).optional(),
	maxTokens: z.int().min(1).max(limits.recallTokens).optional(),
	vectorMode: z.enum(["auto", "exact", "approximate"]).optional(),
} satisfies Record<keyof SearchSettings, z.ZodType>;

export type Settings = z.infer<z.ZodObject<typeof settingsInput>>;

/** Without what is undefined: an option that is given as undefined is none. */
export function defined<T extends object>(
	options: T,
): { [K in keyof T]: Exclude<T[K], undefined> } {
	return Object.fromEntries(
		Object.entries(options).filter(([, value]) => value !== undefined),
	) as { [K in keyof T]: Exclude<T[K], undefined> };
}

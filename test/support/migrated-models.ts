import * as z from "zod";
import { defineEntity } from "../../src/index.ts";

// What test/support/migrate-child.ts migrates.

export const Note = defineEntity(
	"notes",
	{ name: z.string(), year: z.int().optional() },
	{ entityKeyField: "name" },
);

export const ofBuckets = [
	Note,
	defineEntity(
		"people",
		{ name: z.string(), city: z.string().optional() },
		{ entityKeyField: "name" },
	),
	defineEntity("places", { name: z.string() }, { entityKeyField: "name" }),
	defineEntity(
		"terms",
		{ name: z.string(), meaning: z.string().nullish() },
		{ entityKeyField: "name", tenantScoped: false },
	),
] as const;

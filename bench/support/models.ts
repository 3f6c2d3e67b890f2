import { defineEntity } from "remdb";
import * as z from "zod";

/** One text with a vector. */
export const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		description: z.string().meta({ embed: false }),
		content: z.string(),
	},
	{ entityKeyField: "name" },
);

/** Two texts with vectors. */
export const Document = defineEntity(
	"documents",
	{
		name: z.string(),
		description: z.string(),
		content: z.string(),
	},
	{ entityKeyField: "name" },
);

const bareFields = {
	name: z.string(),
	description: z.string(),
	content: z.string(),
};

/** No vectors, but names in the cache. */
export const Cached = defineEntity("cached_rows", bareFields, {
	entityKeyField: "name",
	createEmbeddings: false,
});

/** Neither vectors nor names in the cache. */
export const Uncached = defineEntity("uncached_rows", bareFields, {
	entityKeyField: "name",
	createEmbeddings: false,
	createKvTrigger: false,
});

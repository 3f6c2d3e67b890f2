// The model `Cached` of bench/support/models.ts for `rem --models`: without a compiler, whose time both commands would take.
import { defineEntity } from "remdb";
import * as z from "zod";

export const Cached = defineEntity(
	"cached_rows",
	{ name: z.string(), description: z.string(), content: z.string() },
	{ entityKeyField: "name", createEmbeddings: false },
);

import { defineEntity } from "remdb";
import * as z from "zod";

export const Film = defineEntity(
	"films",
	{
		title: z.string(),
		year: z.number().int(),
		description: z.string().optional(),
	},
	{ entityKeyField: ["title", "year"] },
);

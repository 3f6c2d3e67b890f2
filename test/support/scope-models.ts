import * as z from "zod";
import { defineEntity } from "../../src/models/entity.ts";

/** Of the rows that the scope's tests read: in `notes` each tenant and user has one. */
export const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		content: z.string().optional(),
		sessionId: z.string().optional(),
	},
	{ entityKeyField: "name" },
);

export const Common = defineEntity(
	"common",
	{ name: z.string(), content: z.string().optional() },
	{ entityKeyField: "name", tenantScoped: false },
);

export type ScopeModels = readonly [typeof Note, typeof Common];

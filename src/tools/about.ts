import * as z from "zod";
import type { Entity } from "../models/entity.ts";
import { describeQueryLanguage } from "../query/dialect/describe-language.ts";
import { reads, tool } from "./tool.ts";

export const about = tool({
	name: "about",
	title: "About this memory",
	description:
		"Describes the tables of this memory with their fields, and the dialect that query takes.",
	behaviour: reads,
	isExtra: true,
	input: () => z.strictObject({}),
	async run({ access }) {
		const entities = access.tables.map(
			(name) => access.registry.get(name).entity,
		);
		const dialect = describeQueryLanguage(entities);
		return {
			content: {
				tables: entities.map(describe),
				isReadOnly: access.isReadOnly,
				dialect,
			},
			text: dialect,
		};
	},
});

function describe({ tableName, keyFields, fields, embedFields }: Entity) {
	return {
		table: tableName,
		key: keyFields?.map(({ name }) => name) ?? null,
		fields: fields.map(({ name, type }) => ({ name, type })),
		searchable: embedFields.map(({ name }) => name),
	};
}

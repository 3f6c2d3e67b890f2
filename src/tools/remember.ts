import * as z from "zod";
import { type Issue, RemError } from "../errors.ts";
import type { Entity } from "../models/entity.ts";
import { rowFromJson } from "../models/json-fields.ts";
import { keyOfRow } from "../models/rows.ts";
import { membersOf } from "../util/present.ts";
import { suggest } from "../util/suggest.ts";
import { entitySchema } from "./entity-schema.ts";
import { entityUri } from "./entity-uri.ts";
import { oneTable, tableNamed } from "./input.ts";
import { type ArgumentsSchema, tool, untilAborted } from "./tool.ts";

export const remember = tool({
	name: "remember",
	title: "Remember",
	description:
		"Stores entities in a table, or corrects those of the same key: fields that you leave out stay, null clears one. Text fields are found by meaning afterwards. Search first, so that one thing is not stored under two names.",
	behaviour: { isReadOnly: false, isDestructive: false, isIdempotent: true },
	input: (access) =>
		z.strictObject({
			table: oneTable(access),
			entities: z
				.array(z.record(z.string(), z.unknown()))
				.min(1)
				.max(100)
				.describe("each with the fields of the table"),
		}),
	finishSchema: (schema, { registry, tables }) =>
		withItems(
			schema,
			tables.map((name) => entitySchema(registry.get(name).entity)),
		),
	async run({ scope, access, signal, onProgress }, { table, entities }) {
		const entity = tableNamed(access, table);
		checkFields(entity, entities);
		const rows = entities.map((given) => rowFromJson(entity, given));
		const message = `storing in ${table}`;
		onProgress?.({ done: 0, total: rows.length, message });
		const { ids, ...counts } = await scope.batchUpsert({
			tableName: table,
			entities: rows as never,
			...untilAborted(signal),
			onProgress: ({ done, total }) => onProgress?.({ done, total, message }),
		});
		const { inserted, updated, unchanged } = counts;
		const uris = ids.map((id, at) =>
			entityUri(table, keyOfRow(entity, rows[at] ?? {}), id),
		);
		return {
			content: { uris, inserted, updated, unchanged },
			text: `${inserted} stored, ${updated - unchanged} changed, ${unchanged} unchanged: ${uris.join(" ")}`,
		};
	},
});

function withItems(
	schema: ArgumentsSchema,
	items: readonly Record<string, unknown>[],
): ArgumentsSchema {
	const properties = membersOf(schema.properties);
	const [only] = items;
	return {
		...schema,
		properties: {
			...properties,
			entities: {
				...membersOf(properties.entities),
				items: items.length === 1 ? only : { anyOf: items },
			},
		},
	};
}

/** Of the system's fields a model may write these: whose a row is, and which one, is not for it to choose. */
const systemFields = ["tags", "metadata", "graphEdges"];

function checkFields(
	{ tableName, fields }: Entity,
	entities: readonly Readonly<Record<string, unknown>>[],
): void {
	const known = [...fields.map(({ name }) => name), ...systemFields];
	const issues = entities.flatMap((given, index) =>
		Object.keys(given)
			.filter((name) => !known.includes(name))
			.map((name): Issue => {
				const hint = suggest(name, known);
				return {
					index,
					field: name,
					message: `unknown field${hint === undefined ? "" : `, ${hint}`}`,
				};
			}),
	);
	if (issues.length === 0) return;
	const list = issues
		.slice(0, shownIssues)
		.map(
			({ index, field, message }) => `entity ${index}, ${field}: ${message}`,
		);
	throw new RemError(
		issues.some(({ field = "" }) => isScopeName(field))
			? "TENANT_MISMATCH"
			: "UNKNOWN_FIELD",
		`invalid entities for "${tableName}": ${list.join("; ")}`,
		{ hint: "nothing was written; correct the named fields", issues },
	);
}

const shownIssues = 10;

/** Names under which a call might name a tenant or a user. */
export function isScopeName(name: string): boolean {
	return /^(tenant|user)(_?id)?$/i.test(name);
}

import * as z from "zod";
import { RemError } from "../errors.ts";
import { keyOfRow } from "../models/rows.ts";
import type { QueryResult } from "../verbs/query-result.ts";
import type { Item } from "./bounded-items.ts";
import { entityUri } from "./entity-uri.ts";
import { page, tableNamed, text } from "./input.ts";
import { listAnswer } from "./list-answer.ts";
import { openPage, pageOf } from "./page.ts";
import { plainJson, plainMembers } from "./plain-json.ts";
import { reads, type ToolAccess, tool, untilAborted } from "./tool.ts";

export const query = tool({
	name: "query",
	title: "Query",
	description:
		"Answers one query of the REM dialect: LOOKUP, FUZZY, SEARCH, TRAVERSE or SQL. It only reads. about describes the dialect and the tables.",
	behaviour: reads,
	isExtra: true,
	input: () =>
		z.strictObject({
			query: text(
				'for example: SEARCH "deploy kubernetes" IN documents LIMIT 5',
			),
			maxTokens: page.maxTokens,
			cursor: page.cursor,
		}),
	async run({ scope, access, maxTokens, signal }, input) {
		const here = openPage("query", { ...input, limit: 10_000 }, maxTokens);
		const result = await scope.query(input.query, untilAborted(signal));
		const rows = rowsOf(result, access);
		const { kind } = result;
		const isPart = kind === "recall" && result.incomplete !== undefined;
		const more = isPart ? { incomplete: result.incomplete } : {};
		return listAnswer(pageOf(here, rows), { kind, ...more });
	},
});

function rowsOf(result: QueryResult, access: ToolAccess): Item[] {
	const isVisible = ({ entityType }: { readonly entityType: string }) =>
		access.tables.includes(entityType);
	switch (result.kind) {
		case "explain":
			// Its counts are those of whatever the query reads.
			if (access.isRestricted)
				throw new RemError("FILTER_REFUSED", "EXPLAIN is not available here", {
					hint: "send the query without EXPLAIN",
				});
			return [plainMembers(result)];
		case "search":
		case "sql":
			return result.rows
				.map((row) => ({
					row,
					table: result.tableName ?? String(row.entityType),
				}))
				.filter(({ table }) => isVisible({ entityType: table }))
				.map(({ row, table }) => rowItem(access, table, row));
		case "recall":
		case "lookup":
		case "fuzzy":
			return result.rows.filter(isVisible).map(entityItem);
		case "traverse":
			if (access.isRestricted)
				throw new RemError(
					"FILTER_REFUSED",
					"TRAVERSE is not available in a query here",
					{ hint: "call the tool traverse" },
				);
			return result.rows.map(entityItem);
	}
}

function rowItem(
	access: ToolAccess,
	table: string,
	row: Readonly<Record<string, unknown>>,
): Item {
	const entity = tableNamed(access, table);
	const { tenantId: _, deletedAt: __, entityType: ___, ...shown } = row;
	return {
		uri: entityUri(table, keyOfRow(entity, row), String(row.id)),
		row: plainJson(shown),
	};
}

function entityItem(hit: {
	readonly entityType: string;
	readonly entityKey: string | null;
	readonly entityId: string;
}): Item {
	const { entityType, entityKey, entityId, ...rest } = hit;
	return {
		uri: entityUri(entityType, entityKey, entityId),
		table: entityType,
		key: entityKey,
		...plainMembers(rest),
	};
}

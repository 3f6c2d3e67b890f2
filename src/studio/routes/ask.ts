import * as z from "zod";
import type { Entity } from "../../models/entity.ts";
import { limits } from "../../models/limits.ts";
import type { FoundByQuery, QueryResult } from "../../verbs/query-result.ts";
import type { EntityRef, JsonObject } from "../api/common.ts";
import type { ConsoleResponse } from "../api/console.ts";
import { onOneLine, shellOf } from "../code.ts";
import { scopeInput } from "../input.ts";
import { exactJson, toJsonObject } from "../json.ts";
import type { Place } from "../place.ts";
import { type RouteCall, route } from "../route.ts";
import { missingNotes } from "../search.ts";

export const ask = route({
	method: "POST",
	path: "console",
	input: z.strictObject({
		...scopeInput,
		query: z.string().max(limits.queryBytes),
	}),
	run: async (call: RouteCall, given): Promise<ConsoleResponse> => {
		const place = call.place(given);
		const { query } = given;
		const started = performance.now();
		const result = await place.scope.query(query, { signal: call.signal });
		return {
			...shown(place, result),
			durationMs: performance.now() - started,
			code: codeOf(place, query),
		};
	},
});

type Shown = Omit<ConsoleResponse, "durationMs" | "code">;

function shown(place: Place, result: QueryResult): Shown {
	if (result.kind === "explain") {
		const { kind, query, ...explained } = result;
		return {
			kind,
			columns: [],
			rows: [],
			entities: [],
			json: exactJson({ query, ...explained }),
			explanation: { query: toJsonObject(query), ...explained },
			notes: [],
		};
	}
	const found: readonly object[] = result.rows;
	const rows = found.map(toJsonObject);
	return {
		kind: result.kind,
		columns: columnsOf(place, result, rows),
		rows,
		entities: rows.map((row) => refOf(result, row)),
		json: exactJson(result),
		notes: notesOf(result),
	};
}

function refOf(result: FoundByQuery, row: JsonObject): EntityRef | null {
	const table = "tableName" in result ? result.tableName : row.entityType;
	const id = row.entityId ?? row.id;
	return typeof table === "string" && typeof id === "string"
		? { entityType: table, entityId: id }
		: null;
}

/** What is in front: what a row is called by, and why it was found. */
const firstColumns = [
	"entityType",
	"entityKey",
	"score",
	"similarity",
	"matchedField",
	"matchedText",
];

function columnsOf(
	place: Place,
	result: FoundByQuery,
	rows: readonly JsonObject[],
): ConsoleResponse["columns"] {
	const tableName = "tableName" in result ? result.tableName : undefined;
	const entity = tableName === undefined ? undefined : place.entity(tableName);
	const present = new Set(rows.flatMap((row) => Object.keys(row)));
	const own = entity === undefined ? [] : namesOf(entity);
	const names = new Set([
		...firstColumns.filter((name) => present.has(name)),
		...(rows.length === 0 ? own : own.filter((name) => present.has(name))),
		...present,
	]);
	return [...names].map((name) => ({
		name,
		type: entity?.fieldsByName.get(name)?.type ?? null,
	}));
}

function namesOf(entity: Entity): string[] {
	const own = entity.fields.map(({ name }) => name);
	const system = [...entity.fieldsByName.keys()].filter(
		(name) => !own.includes(name),
	);
	return [...own, ...system];
}

function notesOf(result: FoundByQuery): string[] {
	switch (result.kind) {
		case "fuzzy":
			return result.bounded === undefined
				? []
				: ["not all names that are like the text may have been compared"];
		case "recall":
			return [
				...missingNotes(result.incomplete),
				...(result.omitted === 0
					? []
					: [`${result.omitted} more had no room in the tokens`]),
			];
		case "traverse":
			return [
				...(result.from === undefined ? ["no entity has that name"] : []),
				...(result.isComplete ? [] : ["there are more within that depth"]),
				...(result.dangling.length === 0
					? []
					: [`${result.dangling.length} edges lead to no entity`]),
			];
		default:
			return [];
	}
}

function codeOf(place: Place, query: string): ConsoleResponse["code"] {
	const { tenantId, userId } = place;
	const scope = { tenantId, ...(userId === undefined ? {} : { userId }) };
	return {
		typescript: `await service.query(${JSON.stringify(query)}, ${onOneLine(scope)})`,
		shell: shellOf(place, { name: "rem query", text: query }),
	};
}

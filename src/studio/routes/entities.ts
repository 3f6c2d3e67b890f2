import * as z from "zod";
import type { Entity } from "../../models/entity.ts";
import { limits } from "../../models/limits.ts";
import { keyOfRow } from "../../models/rows.ts";
import type { Json } from "../api/common.ts";
import type { EntityDetail, ListedRow, ListResponse } from "../api/entities.ts";
import { readDetail } from "../detail.ts";
import { notFound } from "../http/problem.ts";
import { defined, entityInput, scopeInput, studioLimits } from "../input.ts";
import { shortened, toJsonObject } from "../json.ts";
import { type StoredRow, titleOf } from "../place.ts";
import { type RouteCall, route } from "../route.ts";

export const list = route({
	method: "POST",
	path: "list",
	input: z.strictObject({
		...scopeInput,
		table: z.string(),
		filter: z.string().max(limits.queryBytes).optional(),
		orderBy: z.string().max(200).optional(),
		limit: z.int().min(1).max(studioLimits.listLimit).optional(),
		cursor: z.string().max(100_000).optional(),
		rows: z.enum(["live", "deleted"]).optional(),
	}),
	run: async (call: RouteCall, given): Promise<ListResponse> => {
		const place = call.place(given);
		const entity = place.entity(given.table);
		const { orderBy, cursor: after, filter: condition, limit, rows } = given;
		const started = performance.now();
		const page = await place
			.rows(entity)
			.findPage(
				rows === "deleted" ? { deletedAt: { isNull: false } } : {},
				defined({ orderBy, limit, after, condition }),
			);
		return {
			rows: page.rows.map((row) => listedRow(entity, row)),
			next: page.next ?? null,
			durationMs: performance.now() - started,
		};
	},
});

function listedRow(entity: Entity, row: StoredRow): ListedRow {
	const cut: string[] = [];
	const fields = Object.entries(toJsonObject(row)).map(([name, value]) => {
		const short = shortValue(value);
		if (short !== value) cut.push(name);
		return [name, short] as const;
	});
	return {
		entityType: entity.tableName,
		entityId: String(row.id),
		entityKey: keyOfRow(entity, row),
		title: titleOf(entity, row),
		fields: Object.fromEntries(fields),
		cut,
	};
}

const longestJson = 600;

/** A long text, or JSON that is long as a text, by its beginning. */
function shortValue(value: Json): Json {
	if (typeof value === "string") return shortened(value);
	if (typeof value !== "object" || value === null) return value;
	const text = JSON.stringify(value);
	return text.length <= longestJson ? value : shortened(text);
}

export const entity = route({
	method: "POST",
	path: "entity",
	input: z.strictObject(entityInput),
	run: async (call: RouteCall, given): Promise<EntityDetail> => {
		const detail = await readDetail(call.place(given), given);
		if (detail !== undefined) return detail;
		throw notFound("no entity of this tenant and user has that id");
	},
});

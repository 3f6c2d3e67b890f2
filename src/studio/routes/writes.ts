import * as z from "zod";
import { RemError } from "../../errors.ts";
import type { Entity } from "../../models/entity.ts";
import { rowFromJson } from "../../models/json-fields.ts";
import { suggest } from "../../util/suggest.ts";
import type { EntityRef } from "../api/common.ts";
import type { EntityDetail } from "../api/entities.ts";
import { readDetail } from "../detail.ts";
import { HttpProblem, notFound } from "../http/problem.ts";
import { defined, entityInput } from "../input.ts";
import { isoTime } from "../json.ts";
import type { Place, StoredRow } from "../place.ts";
import { type RouteCall, route } from "../route.ts";
import { editableSystemFields } from "./bootstrap.ts";

const oneEntity = z.strictObject(entityInput);

/** A write of one entity; the answer is the entity as it is then. */
function write<Input extends z.output<typeof oneEntity>>(
	path: string,
	input: z.ZodType<Input>,
	work: (place: Place, given: Input) => Promise<unknown>,
) {
	return route({
		method: "POST",
		path,
		isWrite: true,
		input,
		run: async (call: RouteCall, given): Promise<EntityDetail> => {
			const place = call.place(given);
			await work(place, given);
			const detail = await readDetail(place, given);
			if (detail !== undefined) return detail;
			throw notFound("no entity of this tenant and user has that id");
		},
	});
}

export const edit = write(
	"edit",
	oneEntity.extend({
		fields: z.record(z.string(), z.unknown()),
		updatedAt: z.string().max(100).optional(),
	}),
	async (place, given) => {
		const { entity, row } = await liveRow(place, given);
		checkFields(entity, given.fields);
		if (
			given.updatedAt !== undefined &&
			given.updatedAt !== isoTime(row.updatedAt)
		)
			throw new HttpProblem(409, {
				code: "CONFLICT",
				message: "the entity has changed since it was read",
				hint: "read it again, and edit what is there now",
			});
		// Fields that are not edited stay as they are now, also where another client changed them.
		await place
			.rows(entity)
			.update(given.entityId, rowFromJson(entity, given.fields), {
				onEmbeddingError: "queue",
			});
	},
);

function checkFields(entity: Entity, fields: StoredRow): void {
	const known = [
		...entity.fields.map(({ name }) => name),
		...editableSystemFields,
	];
	const issues = Object.keys(fields)
		.filter((name) => !known.includes(name))
		.map((field) => {
			const hint = suggest(field, known);
			const message = `cannot be edited${hint === undefined ? "" : `, ${hint}`}`;
			return { field, message };
		});
	if (issues.length === 0) return;
	throw new RemError(
		"UNKNOWN_FIELD",
		`fields that cannot be edited: ${issues.map(({ field }) => field).join(", ")}`,
		{ issues },
	);
}

export const remove = write("delete", oneEntity, (place, given) =>
	place.rows(place.entity(given.entityType)).delete(given.entityId),
);

export const restore = write("restore", oneEntity, (place, given) =>
	place.rows(place.entity(given.entityType)).restore(given.entityId),
);

const relType = z.string().min(1).max(400);
const dst = z.string().min(1).max(2048);

export const link = write(
	"link",
	oneEntity.extend({
		dst,
		relType,
		weight: z.number().min(0).max(1).optional(),
		properties: z.record(z.string(), z.unknown()).optional(),
	}),
	async (place, given) => {
		const { row } = await liveRow(place, given);
		const { weight, properties } = given;
		await place.scope.link({
			from: String(row.id),
			edges: {
				dst: given.dst,
				rel_type: given.relType,
				...defined({ weight, properties }),
			},
		});
	},
);

export const unlink = write(
	"unlink",
	oneEntity.extend({ dst, relType: relType.optional() }),
	async (place, given) => {
		const { row } = await liveRow(place, given);
		await place.scope.unlink({
			from: String(row.id),
			dst: given.dst,
			...defined({ relType: given.relType }),
		});
	},
);

/** Writes the texts again as they are: a write embeds those that have no vector. */
export const embed = write("embed", oneEntity, async (place, given) => {
	const { entity, row } = await liveRow(place, given);
	const texts = entity.embedFields.map(({ name }) => [name, row[name]]);
	await place.rows(entity).update(given.entityId, Object.fromEntries(texts));
});

async function liveRow(
	place: Place,
	{ entityType, entityId }: EntityRef,
): Promise<{ entity: Entity; row: StoredRow }> {
	const entity = place.entity(entityType);
	const row = await place.row(entity, entityId);
	if (row === undefined) throw notFound("no entity has that id");
	if (row.deletedAt === null) return { entity, row };
	throw new HttpProblem(409, {
		code: "CONFLICT",
		message: "the entity is deleted",
		hint: "restore it first",
	});
}

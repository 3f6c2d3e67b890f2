import * as z from "zod";
import type { Entity } from "../../models/entity.ts";
import type { Field } from "../../models/field.ts";
import type {
	Bootstrap,
	CountsResponse,
	FieldModel,
	TableModel,
} from "../api/bootstrap.ts";
import { scopeInput, searchModes, studioLimits } from "../input.ts";
import type { StudioService } from "../place.ts";
import { type RouteCall, route } from "../route.ts";

export const bootstrap = route({
	method: "GET",
	path: "bootstrap",
	input: z.object({}),
	run: async ({ service, options }: RouteCall): Promise<Bootstrap> => {
		const { tenantId, userId, isWritable } = options;
		return {
			version: options.version,
			database: { kind: service.capabilities.kind },
			writable: isWritable,
			...(isWritable ? {} : { writeHint }),
			tenant: {
				id: tenantId ?? service.core.settings.defaultTenant,
				isFixed: tenantId !== undefined,
			},
			...(userId === undefined ? {} : { userId }),
			embedding: embeddingOf(service),
			tables: service.registry.all().map(({ entity }) => tableModel(entity)),
			limits: studioLimits,
			modes: searchModes,
		};
	},
});

export const writeHint =
	"start the studio with --write (in an application: `writable: true`)";

function embeddingOf({ core }: StudioService): Bootstrap["embedding"] {
	const space = core.embedder.spaceIfKnown();
	return space === undefined
		? null
		: { provider: space.provider, model: space.model };
}

function tableModel(entity: Entity): TableModel {
	const keys = (entity.keyFields ?? []).map(({ name }) => name);
	return {
		name: entity.tableName,
		keyFields: keys,
		fields: [...entity.fieldsByName.values()].map((field) =>
			fieldModel(entity, field, keys),
		),
		embedFields: entity.embedFields.map(({ name }) => name),
		isTenantScoped: entity.tenantScoped,
	};
}

/** Of the system's fields these are anyone's to write; edges are linked, not edited. */
export const editableSystemFields: readonly string[] = ["tags", "metadata"];

function fieldModel(
	entity: Entity,
	field: Field,
	keys: readonly string[],
): FieldModel {
	const { name, column, type, nullable } = field;
	const isSystem = !entity.fields.includes(field);
	return {
		name,
		column,
		type,
		isNullable: nullable,
		hasVector: entity.embedFields.includes(field),
		isSystem,
		isKey: keys.includes(name),
		isEditable: !isSystem || editableSystemFields.includes(name),
		isSortable: type !== "jsonb",
	};
}

export const counts = route({
	method: "GET",
	path: "counts",
	input: z.object(scopeInput),
	run: async (call: RouteCall, given): Promise<CountsResponse> => {
		const place = call.place(given);
		const counted: [string, number][] = [];
		for (const { entity } of call.service.registry.all())
			counted.push([entity.tableName, await place.rows(entity).count({})]);
		return { counts: Object.fromEntries(counted) };
	},
});

import type { Entity } from "../models/entity.ts";
import { isUuid } from "../util/uuid.ts";
import type { Place, StoredRow } from "./place.ts";

/** An entity of the tenant, live or deleted, and of whichever user. */
export interface NamedEntity {
	readonly entity: Entity;
	readonly row: StoredRow;
}

interface Name {
	readonly entityType?: string | undefined;
	/** Its key in any case, `table/key`, or its id. */
	readonly entity: string;
}

/** By its id, its key, or, of a deleted one, its key as it is written. */
export async function findEntity(
	place: Place,
	name: Name,
): Promise<NamedEntity | undefined> {
	const { entityType, key } = parted(place, name);
	const entities =
		entityType === undefined
			? place.service.registry.all().map(({ entity }) => entity)
			: [place.entity(entityType)];
	if (isUuid(key)) {
		for (const entity of entities) {
			const row = await place.row(entity, key, place.tenant);
			if (row !== undefined) return { entity, row };
		}
	}
	const [hit] = await place.tenant.lookupEntities({
		entityKeys: [key],
		...(entityType === undefined ? {} : { entityType }),
	});
	if (hit !== undefined) {
		const entity = place.entity(hit.entityType);
		const row = await place.row(entity, hit.entityId, place.tenant);
		if (row !== undefined) return { entity, row };
	}
	return findDeleted(place, entities, key);
}

function parted(place: Place, { entityType, entity }: Name) {
	const at = entity.indexOf("/");
	const table = entity.slice(0, at);
	const isTable =
		at > 0 &&
		place.service.registry
			.all()
			.some(({ entity: { tableName } }) => tableName === table);
	return isTable
		? { entityType: table, key: entity.slice(at + 1) }
		: { entityType, key: entity };
}

async function findDeleted(
	place: Place,
	entities: readonly Entity[],
	key: string,
): Promise<NamedEntity | undefined> {
	for (const entity of entities) {
		const [field, ...more] = entity.keyFields ?? [];
		if (field?.type !== "text" || more.length > 0) continue;
		const [row] = await place.rows(entity, place.tenant).find(
			{ [field.name]: key, deletedAt: { isNull: false } },
			{
				limit: 1,
			},
		);
		if (row !== undefined) return { entity, row };
	}
	return undefined;
}

import type { Entity } from "../models/entity.ts";
import { keyOfRow } from "../models/entity-key.ts";
import { isUuid } from "../util/uuid.ts";
import { type EntityName, readEntityUri } from "./entity-uri.ts";
import { tableNamed } from "./input.ts";
import type { MemoryScope, ToolAccess } from "./tool.ts";

/** A row of the scope, with the name that it was found by. */
export interface FoundRow {
	readonly entity: Entity;
	/** `null`: its table has no natural key, or the row none. */
	readonly key: string | null;
	readonly id: string;
	readonly row: Readonly<Record<string, unknown>>;
}

/** The row that a URI or `table/key` names, by its key or else by its id. */
export function findRow(
	scope: MemoryScope,
	access: ToolAccess,
	uri: string,
): Promise<FoundRow | undefined> {
	return findNamed(scope, access, readEntityUri(uri));
}

async function findNamed(
	scope: MemoryScope,
	access: ToolAccess,
	{ table, key }: EntityName,
): Promise<FoundRow | undefined> {
	const entity = tableNamed(access, table);
	if (entity.createKvTrigger) {
		const hit = await scope.lookupEntity({
			entityKey: key,
			entityType: table,
			hydrate: true,
		});
		if (hit?.record !== undefined)
			return { entity, key: hit.entityKey, id: hit.entityId, row: hit.record };
	}
	if (!isUuid(key)) return undefined;
	const row = await scope.repository(entity).getById(key);
	if (row === undefined) return undefined;
	return { entity, key: keyOfRow(entity, row), id: key.toLowerCase(), row };
}

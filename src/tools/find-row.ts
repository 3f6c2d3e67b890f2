import { RemError } from "../errors.ts";
import type { Entity } from "../models/entity.ts";
import { keyOfRow } from "../models/rows.ts";
import { quoted, suggest } from "../util/suggest.ts";
import { isUuid } from "../util/uuid.ts";
import { readEntityUri } from "./entity-uri.ts";
import { tableNamed } from "./input.ts";
import {
	type MemoryScope,
	type ToolAccess,
	type ToolCall,
	untilAborted,
} from "./tool.ts";

/** A row of the scope, with the name that it was found by. */
export interface FoundRow {
	readonly entity: Entity;
	/** `null`: its table has no natural key, or the row none. */
	readonly key: string | null;
	readonly id: string;
	readonly row: Readonly<Record<string, unknown>>;
}

/** The row that a URI or `table/key` names, by its key or else by its id. */
export async function findRow(
	{ scope, access, signal }: Pick<ToolCall, "scope" | "access" | "signal">,
	uri: string,
): Promise<FoundRow | undefined> {
	const { table, key } = readEntityUri(uri);
	const entity = tableNamed(access, table);
	if (entity.createKvTrigger) {
		const hit = await scope.lookupEntity({
			entityKey: key,
			entityType: table,
			hydrate: true,
			...untilAborted(signal),
		});
		if (hit?.record !== undefined)
			return { entity, key: hit.entityKey, id: hit.entityId, row: hit.record };
	}
	if (!isUuid(key)) return undefined;
	const row = await scope.repository(entity).getById(key);
	if (row === undefined) return undefined;
	return { entity, key: keyOfRow(entity, row), id: key.toLowerCase(), row };
}

/**
 * The name as the service takes it, once it is known to be of a visible table.
 * Throws `VALIDATION` where it is of a hidden one, as if nothing had the name.
 */
export async function checkVisible(
	scope: MemoryScope,
	{ tables, isRestricted }: ToolAccess,
	given: string,
): Promise<string> {
	const name = given.startsWith("rem://")
		? decodeURIComponent(given.slice("rem://".length))
		: given;
	if (!isRestricted) return name;
	const { from } = await scope.traverse({ from: name, depth: 0 });
	if (from === undefined || tables.includes(from.entityType)) return name;
	throw new RemError("VALIDATION", `nothing is named ${quoted(given)}`, {
		hint: suggest("", tables) ?? "remember it first",
	});
}

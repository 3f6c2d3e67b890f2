import { RemError } from "../../errors.ts";
import type { ServiceScope } from "../../index.ts";
import type { Entity } from "../../models/entity.ts";
import { isUuid } from "../../util/uuid.ts";
import type { AnyService } from "../open-service.ts";
import type { ScopeOptions } from "../options.ts";

/** The service for the rows of a tenant, the default one where none is named, and optionally of a user. */
export function scopeOfRows(
	service: AnyService,
	{ tenant, user }: ScopeOptions,
): ServiceScope<readonly Entity[]> {
	return service.scope({
		tenantId: service.core.tenant(tenant),
		...(user === undefined ? {} : { userId: user }),
	});
}

/** A row that a name on the command line means. */
export interface NamedRow {
	readonly entity: Entity;
	readonly id: string;
	readonly row: Readonly<Record<string, unknown>>;
}

type Scope = ServiceScope<readonly Entity[]>;

/**
 * The live rows of a name: a key in any case, `table/key`, or an id. Of several
 * tables may each have one, unless a table is named.
 */
export async function namedRows(
	scope: Scope,
	name: string,
	table?: string,
): Promise<NamedRow[]> {
	const { key, entityType } = readName(scope, name, table);
	const hits = await scope.lookupEntities({
		entityKeys: [key],
		hydrate: true,
		...(entityType === undefined ? {} : { entityType }),
	});
	const found = hits.flatMap(({ entityType, entityId, record }) =>
		record === undefined
			? []
			: [
					{
						entity: scope.registry.get(entityType).entity,
						id: entityId,
						row: record,
					},
				],
	);
	return found.length > 0 || !isUuid(key)
		? found
		: rowsById(scope, key, entityType);
}

/** The one row of a name: what is changed must not be guessed. */
export async function theRowNamed(
	scope: Scope,
	name: string,
	table?: string,
): Promise<NamedRow> {
	const rows = await namedRows(scope, name, table);
	const [row] = rows;
	if (row === undefined)
		throw new RemError("VALIDATION", `nothing is named "${name}"`, {
			hint: "`rem list TABLE` shows the rows; --tenant and --user decide whose",
		});
	if (rows.length === 1) return row;
	const names = rows.map(({ entity, id }) => `${entity.tableName}/${id}`);
	throw new RemError(
		"VALIDATION",
		`${rows.length} rows are named "${name}": ${names.slice(0, 5).join(", ")}`,
		{ hint: "name the one you mean by its id, as listed" },
	);
}

async function rowsById(
	scope: Scope,
	id: string,
	tableName: string | undefined,
): Promise<NamedRow[]> {
	const tables = scope.registry
		.all()
		.filter(
			({ entity }) => (tableName ?? entity.tableName) === entity.tableName,
		);
	for (const { entity } of tables) {
		const row = await scope.repository(entity).getById(id);
		if (row !== undefined) return [{ entity, id: id.toLowerCase(), row }];
	}
	return [];
}

/** `films/Alien` where there is a table `films`; a key itself may contain a slash. */
function readName(
	{ registry }: Scope,
	name: string,
	table: string | undefined,
): { readonly key: string; readonly entityType: string | undefined } {
	if (table !== undefined)
		return { key: name, entityType: registry.get(table).entity.tableName };
	const slash = name.indexOf("/");
	const prefix = name.slice(0, Math.max(0, slash));
	const isTable = registry
		.all()
		.some(({ entity }) => entity.tableName === prefix);
	return isTable && slash + 1 < name.length
		? { key: name.slice(slash + 1), entityType: prefix }
		: { key: name, entityType: undefined };
}

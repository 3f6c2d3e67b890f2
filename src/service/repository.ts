import { ServiceCore } from "../core/service-core.ts";
import { RemError, reading } from "../errors.ts";
import { type Entity, model } from "../models/entity.ts";
import type { EntityTable, Registry } from "../models/registry.ts";
import { membersOf } from "../util/present.ts";
import { quoted } from "../util/suggest.ts";
import { type BoundScope, takeScope } from "../verbs/bound-scope.ts";
import { RowsMethods } from "../verbs/repository/rows-methods.ts";
import type { RowsCaller } from "../verbs/verb.ts";

/**
 * Simple reading and writing of one entity's rows; its verbs are the files of
 * `src/verbs/repository`. Filters are literal: without a tenant they run over all
 * tenants, unless the service is strict about it. Soft-deleted rows are not
 * there, except for a filter on `deletedAt`.
 *
 * @example
 * const messages = service.repository(Message)
 * const created = await messages.upsert({ content: "Hello", sessionId: "s-1", tenantId: "acme" })
 * await messages.find({ sessionId: "s-1", tenantId: "acme" }, { orderBy: "createdAt asc", limit: 100 })
 */
export class Repository<E extends Entity> extends RowsMethods<E> {
	/** The table it reads and writes. */
	readonly tableName: string;

	/** The model has to be one of the service's. With a scope, every call is about its tenant and user. */
	constructor(entity: E, service: AnyService, scope?: BoundScope) {
		const rows = rowsOf(entity, service, scope);
		super(rows);
		this.tableName = rows.table.entity.tableName;
	}
}

function rowsOf(
	entity: Entity,
	service: AnyService,
	scope: BoundScope | undefined,
): RowsCaller {
	return reading("new Repository", () => ({
		core: coreOf(service),
		table: tableOf(entity, service),
		scope: scope === undefined ? undefined : takeScope(scope),
	}));
}

/** The model's table, where it is one of the service's. */
function tableOf(entity: Entity, service: AnyService): EntityTable {
	const problem = model(entity);
	if (problem !== undefined)
		throw new RemError("VALIDATION", `entity ${problem}`);
	const table = coreOf(service).registry.get(entity.tableName);
	if (table.entity === entity) return table;
	throw new RemError(
		"UNKNOWN_ENTITY",
		`the service has another model for ${quoted(entity.tableName)}`,
		{ hint: "pass the model that the service was connected with" },
	);
}

/** What a service shares with its repositories. */
function coreOf(service: unknown): ServiceCore {
	const { core } = membersOf(service);
	if (core instanceof ServiceCore) return core;
	throw new RemError("VALIDATION", "the second argument is not a service", {
		hint: "new Repository(Document, service), with the service that PostgresService.connect returns",
	});
}

/** A service, whatever its models: what a repository is opened on. */
export interface AnyService {
	/** The entities the service knows. */
	readonly registry: Registry;
	/** @internal not part of the published types: it would bring the driver's with it */
	readonly core: ServiceCore;
}

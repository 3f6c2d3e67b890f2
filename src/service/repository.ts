import { ServiceCore } from "../core/service-core.ts";
import { RemError } from "../errors.ts";
import { type Entity, model } from "../models/entity.ts";
import { checkScope } from "../query/scope.ts";
import type { BoundScope } from "../verbs/bound-scope.ts";
import { RowsMethods } from "../verbs/repository/verbs.ts";
import type { RowsCaller } from "../verbs/verb.ts";
import type { AnyService } from "./any-service.ts";

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
		super(rowsOf(entity, service, scope));
		this.tableName = entity.tableName;
	}
}

function rowsOf(
	entity: Entity,
	service: AnyService,
	scope: BoundScope | undefined,
): RowsCaller {
	const problem = model(entity);
	if (problem !== undefined)
		throw new RemError("VALIDATION", `entity ${problem}`);
	const core = coreOf(service);
	const table = core.registry.get(entity.tableName);
	if (table.entity !== entity)
		throw new RemError(
			"UNKNOWN_ENTITY",
			`the service has another model for "${entity.tableName}"`,
			{ hint: "pass the model that the service was connected with" },
		);
	return { core, table, scope: scope && ownScope(scope) };
}

/** What a service shares with its repositories. */
function coreOf(service: unknown): ServiceCore {
	const { core } = (service ?? {}) as { core?: unknown };
	if (core instanceof ServiceCore) return core;
	throw new RemError("VALIDATION", "the second argument is not a service", {
		hint: "new Repository(Document, service), with the service that PostgresService.connect returns",
	});
}

function ownScope(given: BoundScope): BoundScope {
	const { tenantId, userId } = given;
	const scope = { tenantId, ...(userId === undefined ? {} : { userId }) };
	checkScope(scope);
	return scope;
}

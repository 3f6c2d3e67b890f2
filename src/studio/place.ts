import { RemError } from "../errors.ts";
import type { Entity } from "../models/entity.ts";
import { keyOfRow } from "../models/rows.ts";
import type { PostgresService } from "../service/postgres-service.ts";
import type { AnyService, Repository } from "../service/repository.ts";
import type { MemoryScope } from "../tools/tool.ts";
import { isUuid } from "../util/uuid.ts";
import type { BoundScope } from "../verbs/bound-scope.ts";
import type { Models } from "../verbs/call-options.ts";
import { HttpProblem } from "./http/problem.ts";

/** What the studio uses of a service, whatever its models. */
export interface StudioService
	extends AnyService,
		Pick<
			PostgresService<Models>,
			| "capabilities"
			| "activity"
			| "registry"
			| "kv"
			| "indexer"
			| "embeddings"
			| "doctor"
		> {
	scope(scope: BoundScope): unknown;
}

/** Whose rows the studio shows at most. */
export interface StudioScope {
	/** `undefined`: requests name one, else it is the service's default. */
	readonly tenantId: string | undefined;
	readonly userId: string | null | undefined;
}

interface GivenScope {
	readonly tenantId?: string | undefined;
	readonly userId?: string | null | undefined;
}

export type StoredRow = Readonly<Record<string, unknown>>;

type Any = Repository<Entity>;
type Values = Readonly<Record<string, unknown>>;
type PageOptions = Omit<NonNullable<Parameters<Any["findPage"]>[1]>, "orderBy">;

/** Rows of any model: which fields there are, is known at run time. */
interface AnyRepository extends Omit<Any, "find" | "findPage" | "update"> {
	find(
		filter: Values,
		options?: Parameters<Any["find"]>[1],
	): Promise<StoredRow[]>;
	findPage(
		filter: Values,
		options: PageOptions & { readonly orderBy?: string },
	): Promise<{
		readonly rows: readonly StoredRow[];
		readonly next: string | undefined;
	}>;
	update(
		id: string,
		values: Values,
		options?: Parameters<Any["update"]>[2],
	): Promise<unknown>;
}

/** The service as one request sees it: one tenant, and optionally one user. */
export class Place {
	readonly service: StudioService;
	readonly scope: MemoryScope;
	/** The same tenant, whatever the user; of a studio that is fixed to a user, only that one's. */
	readonly tenant: MemoryScope;
	readonly tenantId: string;
	readonly userId: string | null | undefined;
	readonly signal: AbortSignal;

	constructor(
		service: StudioService,
		fixed: StudioScope,
		{
			given,
			signal,
		}: { readonly given: GivenScope; readonly signal: AbortSignal },
	) {
		this.service = service;
		this.signal = signal;
		this.tenantId = tenantOf(service, fixed, given);
		this.userId = userOf(fixed, given);
		this.scope = this.#open(this.userId);
		this.tenant = this.#open(fixed.userId);
	}

	#open(userId: string | null | undefined): MemoryScope {
		const { tenantId } = this;
		const scope = userId === undefined ? { tenantId } : { tenantId, userId };
		return this.service.scope(scope) as MemoryScope;
	}

	/** Throws `UNKNOWN_ENTITY`. */
	entity(tableName: string): Entity {
		return this.service.registry.get(tableName).entity;
	}

	rows(entity: Entity, scope = this.scope): AnyRepository {
		return scope.repository(entity);
	}

	/** The row of the scope, deleted or not. */
	async row(
		entity: Entity,
		id: string,
		scope = this.scope,
	): Promise<StoredRow | undefined> {
		if (!isUuid(id)) return undefined;
		const rows = this.rows(entity, scope);
		const [live] = await rows.find({ id });
		if (live !== undefined) return live;
		const [deleted] = await rows.find({
			id,
			deletedAt: { isNull: false },
		});
		return deleted;
	}
}

function tenantOf(
	service: StudioService,
	fixed: StudioScope,
	{ tenantId }: GivenScope,
): string {
	if (fixed.tenantId !== undefined) {
		if (tenantId === undefined || tenantId === fixed.tenantId)
			return fixed.tenantId;
		throw new RemError(
			"TENANT_MISMATCH",
			"the studio was opened for another tenant",
			{ hint: "leave tenantId out" },
		);
	}
	return service.core.tenant(tenantId);
}

function userOf(
	fixed: StudioScope,
	{ userId }: GivenScope,
): string | null | undefined {
	if (fixed.userId === undefined) return userId;
	if (userId === undefined || userId === fixed.userId) return fixed.userId;
	// Of one user's rows, the shared ones are less.
	if (userId === null) return null;
	throw new HttpProblem(403, {
		code: "TENANT_MISMATCH",
		message: "the studio was opened for another user",
		hint: "leave userId out",
	});
}

/** What to call a row: its key, one of its names, or its id. */
export function titleOf(entity: Entity, row: StoredRow): string {
	const key = keyOfRow(entity, row);
	const named = ["title", "name", "label", "subject"].map((name) => row[name]);
	const name = named.find(
		(value) => typeof value === "string" && value.trim() !== "",
	);
	return key ?? (typeof name === "string" ? name : String(row.id));
}

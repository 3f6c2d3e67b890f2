import type { Consistency, Handle } from "../db/database.ts";
import { RemError, reading } from "../errors.ts";
import type { OrderBy } from "../filters/order-by.ts";
import { type Entity, model } from "../models/entity.ts";
import { type EntityTable, fieldOf } from "../models/registry.ts";
import type { FieldName, NewRow, Row, Where } from "../models/types.ts";
import { userCondition } from "../query/scope.ts";
import { type Change, changeRows } from "../store/change-rows.ts";
import { countRows, findRows, iterateRows } from "../store/find-rows.ts";
import type { MergeField } from "../store/merge.ts";
import { quoted } from "../util/suggest.ts";
import { isUuid } from "../util/uuid.ts";
import type { AnyService } from "./any-service.ts";
import {
	type BoundScope,
	boundTo,
	checkTenant,
	refuseOperators,
	takeScope,
} from "./bound-scope.ts";
import { ServiceCore } from "./core.ts";

export interface RepositoryUpsertOptions {
	readonly tenantId?: string;
	readonly userId?: string | null;
	/** @default true */
	readonly generateEmbeddings?: boolean;
	/** `"queue"`: where a provider gives no vector, the rows are written all the same. @default "fail" */
	readonly onEmbeddingError?: "fail" | "queue";
	/** Fields to add to instead of replacing them. @default none */
	readonly merge?: readonly MergeField[];
	/** Write inside this transaction of yours. */
	readonly transaction?: Handle;
}

interface InTransaction {
	/** Work inside this transaction of yours. */
	readonly transaction?: Handle;
}

/** Where rows are read. */
export interface RepositoryReadOptions {
	/** Read inside this transaction of yours. */
	readonly transaction?: Handle;
	/** `"replica"`: the one of POSTGRES__READ_HOST may answer, as of the service's reads. @default "primary" */
	readonly consistency?: Consistency;
}

/** Whose session is read. */
export interface Session {
	readonly sessionId: string;
	readonly tenantId?: string;
	/** Given: that user's and shared rows; `null`: shared only; omitted: all. */
	readonly userId?: string | null;
}

interface ReadPlace {
	readonly transaction?: Handle | undefined;
	readonly consistency?: Consistency | undefined;
}

type Direction = "asc" | "desc" | "ASC" | "DESC";

/** A field and a direction; several as a list. */
export type RepositoryOrderBy<E> = OneOrMany<
	FieldName<E> | `${FieldName<E>} ${Direction}`
>;

type OneOrMany<T> = T | readonly T[];

export interface RepositoryFindOptions<E> extends RepositoryReadOptions {
	/** @default "id": the order of creation */
	readonly orderBy?: RepositoryOrderBy<E>;
	/** @default all */
	readonly limit?: number;
	/** @default 0 */
	readonly offset?: number;
}

/**
 * Simple reading and writing of one entity's rows. Filters are literal: without
 * a tenant they run over all tenants, unless the service is strict about it.
 * Soft-deleted rows are not there, except for a filter on `deletedAt`.
 *
 * @example
 * const messages = service.repository(Message)
 * const created = await messages.upsert({ content: "Hello", sessionId: "s-1", tenantId: "acme" })
 * await messages.find({ sessionId: "s-1", tenantId: "acme" }, { orderBy: "createdAt asc", limit: 100 })
 */
export class Repository<E extends Entity> {
	/** The table it reads and writes. */
	readonly tableName: string;
	readonly #table: EntityTable;
	readonly #core: ServiceCore;
	readonly #scope: BoundScope | undefined;

	/** The model has to be one of the service's. With a scope, every call is about its tenant and user. */
	constructor(entity: E, service: AnyService, scope?: BoundScope) {
		const parts = reading("new Repository", () => ({
			table: tableOf(entity, service),
			core: coreOf(service),
			scope: scope === undefined ? undefined : takeScope(scope),
		}));
		this.#table = parts.table;
		this.#core = parts.core;
		this.#scope = parts.scope;
		this.tableName = parts.table.entity.tableName;
	}

	/** Writes one entity or several, as batchUpsert does, and returns the stored rows in their order. */
	async upsert(
		entity: NewRow<E>,
		options?: RepositoryUpsertOptions,
	): Promise<Row<E>>;
	async upsert(
		entities: readonly NewRow<E>[],
		options?: RepositoryUpsertOptions,
	): Promise<Row<E>[]>;
	async upsert(
		given: NewRow<E> | readonly NewRow<E>[],
		options: RepositoryUpsertOptions = {},
	): Promise<Row<E> | Row<E>[]> {
		const entities = Array.isArray(given) ? given : [given];
		const bound = this.#bound(options);
		const { ids } = await this.#core.upsert(this.#table, entities, bound);
		const rows = await this.#byIds(ids, bound);
		return Array.isArray(given) ? rows : (rows[0] as Row<E>);
	}

	/** Rows that fulfil the filter: values, or operators such as `{ year: { gte: 1990 } }`. */
	async find(
		filter: Where<E> = {},
		options: RepositoryFindOptions<E> = {},
	): Promise<Row<E>[]> {
		const { transaction: _, consistency: __, ...rest } = options;
		const rows = await findRows(
			this.#reader(options, filter.tenantId),
			this.#table,
			this.#checked(filter),
			{ ...rest, orderBy: rest.orderBy as OrderBy | undefined },
		);
		return rows as Row<E>[];
	}

	/** The same rows one by one in constant memory, however many there are. */
	async *iterate(
		filter: Where<E> = {},
		options: Pick<RepositoryFindOptions<E>, "orderBy"> &
			RepositoryReadOptions = {},
	): AsyncGenerator<Row<E>> {
		yield* iterateRows(
			this.#reader(options, filter.tenantId),
			this.#table,
			this.#checked(filter),
			options.orderBy as OrderBy | undefined,
		) as AsyncGenerator<Row<E>>;
	}

	async count(
		filter: Where<E> = {},
		options: RepositoryReadOptions = {},
	): Promise<number> {
		return countRows(
			this.#reader(options, filter.tenantId),
			this.#table,
			this.#checked(filter),
		);
	}

	/** The live row of that id in the tenant; something that is no UUID finds nothing. */
	async getById(
		id: string,
		tenantId?: string,
		options: RepositoryReadOptions = {},
	): Promise<Row<E> | undefined> {
		if (!isUuid(id)) return undefined;
		const tenant = this.#tenant(tenantId);
		const filter = tenant === undefined ? { id } : { id, tenantId: tenant };
		const db = this.#reader(options, tenant);
		const [row] = await findRows(db, this.#table, filter, {
			condition: userCondition("r", this.#scope ?? {}),
		});
		return row as Row<E> | undefined;
	}

	/** A session's rows in the order they were created; for models with a `sessionId`. */
	async getBySession(
		session: Session,
		options: Omit<RepositoryFindOptions<E>, "orderBy"> = {},
	): Promise<Row<E>[]> {
		fieldOf(this.#table.entity, "sessionId");
		const { tenantId, userId } = this.#bound(session);
		const tenant = this.#tenant(tenantId);
		const filter = {
			sessionId: session.sessionId,
			...(tenant === undefined ? {} : { tenantId: tenant }),
		};
		const { transaction: _, consistency: __, ...rest } = options;
		const db = this.#reader(options, tenant);
		const rows = await findRows(db, this.#table, filter, {
			...rest,
			orderBy: "createdAt",
			condition: userCondition("r", { userId }),
		});
		return rows as Row<E>[];
	}

	/** Deletes softly: true once, then false. Of several: how many. */
	delete(
		id: string,
		tenantId?: string,
		options?: InTransaction,
	): Promise<boolean>;
	delete(
		ids: readonly string[],
		tenantId?: string,
		options?: InTransaction,
	): Promise<number>;
	delete(
		ids: string | readonly string[],
		tenantId?: string,
		options?: InTransaction,
	) {
		return this.#change("delete", ids, tenantId, options);
	}

	/** Brings a deleted row back; `DUPLICATE_KEY` if its key is another's by now. */
	restore(
		id: string,
		tenantId?: string,
		options?: InTransaction,
	): Promise<boolean>;
	restore(
		ids: readonly string[],
		tenantId?: string,
		options?: InTransaction,
	): Promise<number>;
	restore(
		ids: string | readonly string[],
		tenantId?: string,
		options?: InTransaction,
	) {
		return this.#change("restore", ids, tenantId, options);
	}

	/** Removes a row for good, deleted or not, with its vectors. */
	purge(
		id: string,
		tenantId?: string,
		options?: InTransaction,
	): Promise<boolean>;
	purge(
		ids: readonly string[],
		tenantId?: string,
		options?: InTransaction,
	): Promise<number>;
	purge(
		ids: string | readonly string[],
		tenantId?: string,
		options?: InTransaction,
	) {
		return this.#change("purge", ids, tenantId, options);
	}

	async #change(
		change: Change,
		ids: string | readonly string[],
		tenantId: string | undefined,
		options: InTransaction = {},
	): Promise<never> {
		const changed = await changeRows(
			this.#handle(options.transaction, tenantId),
			this.#table,
			change,
			[ids].flat(),
			{ tenantId: this.#tenant(tenantId), userId: this.#scope?.userId },
		);
		return (
			typeof ids === "string" ? changed.length > 0 : changed.length
		) as never;
	}

	async #byIds(
		ids: readonly string[],
		{ transaction, tenantId }: RepositoryUpsertOptions,
	): Promise<Row<E>[]> {
		const rows = await findRows(
			this.#handle(transaction, tenantId),
			this.#table,
			{ id: { in: [...new Set(ids)] } },
			{},
		);
		const byId = new Map(rows.map((row) => [row.id, row]));
		return ids.map((id) => byId.get(id) as Row<E>);
	}

	#handle(transaction: Handle | undefined, tenantId: unknown): Handle {
		return this.#reader({ transaction }, tenantId);
	}

	#reader({ transaction, consistency }: ReadPlace, tenantId: unknown): Handle {
		const given = typeof tenantId === "string" ? tenantId : undefined;
		const tenant = this.#scope?.tenantId ?? given;
		return this.#table.entity.tenantScoped
			? this.#core.handle(tenant, transaction, consistency)
			: this.#core.source(transaction, consistency);
	}

	#checked(where: Where<E>): Readonly<Record<string, unknown>> {
		const given = where as Readonly<Record<string, unknown>>;
		if (this.#scope !== undefined) return this.#narrowed(this.#scope, given);
		// Without a default tenant the service is strict: every call names one.
		const isStrict =
			this.#table.entity.tenantScoped &&
			this.#core.settings.defaultTenant === null;
		if (!isStrict) return given;
		if (!Object.hasOwn(given, "tenantId")) this.#core.tenant(undefined);
		// Read once: what is checked is what the filter says.
		const filter = { ...given };
		refuseOperators(filter.tenantId);
		return filter;
	}

	/** The filter within the scope: its tenant's rows, and of a user's scope that user's and shared ones. */
	#narrowed(
		scope: BoundScope,
		filter: Readonly<Record<string, unknown>>,
	): Readonly<Record<string, unknown>> {
		const { tenantId, userId } = scope;
		checkTenant(scope, filter.tenantId);
		const own = typeof userId === "string" ? [{ userId }] : [];
		const ofUser =
			userId === undefined ? [] : [{ OR: [...own, { userId: null }] }];
		const given = Object.hasOwn(filter, "AND") ? filter.AND : [];
		return {
			...filter,
			...(this.#table.entity.tenantScoped ? { tenantId } : {}),
			...(ofUser.length === 0
				? {}
				: { AND: Array.isArray(given) ? [...given, ...ofUser] : given }),
		};
	}

	#bound<T extends object>(options: T): T & Partial<BoundScope> {
		return this.#scope === undefined ? options : boundTo(this.#scope, options);
	}

	#tenant(tenantId: string | undefined): string | undefined {
		if (this.#scope !== undefined) checkTenant(this.#scope, tenantId);
		return this.#table.entity.tenantScoped
			? (this.#scope?.tenantId ?? this.#core.tenant(tenantId))
			: undefined;
	}
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
	const { core } = (service ?? {}) as { core?: unknown };
	if (core instanceof ServiceCore) return core;
	throw new RemError("VALIDATION", "the second argument is not a service", {
		hint: "new Repository(Document, service), with the service that PostgresService.connect returns",
	});
}

import type { ServiceCore } from "../core/service-core.ts";
import type { Handle } from "../db/database.ts";
import { stoppable } from "../db/stoppable.ts";
import { anyText, flag } from "../models/checks.ts";
import type { Entity } from "../models/entity.ts";
import type { OptionChecks } from "../models/options.ts";
import type { EntityTable } from "../models/registry.ts";
import type { Row } from "../models/types.ts";
import {
	checkLookup,
	type FoundKey,
	type LookupHit,
	type LookupRequest,
	lookup,
} from "../query/lookup.ts";
import { LookupQueue } from "../query/lookup-queue.ts";
import { type Models, type ReadOptions, readOptions } from "./call-options.ts";

// What lookupEntity and lookupEntities have in common.

export interface LookupOptions<
	T extends string = string,
	Hydrate extends boolean = boolean,
> extends ReadOptions {
	/** Only entities of this table. */
	readonly entityType?: T;
	/** Each hit brings its row as `record`, read in the same statement. @default false */
	readonly hydrate?: Hydrate;
}

/** @internal */
export const lookupOptions: OptionChecks<LookupOptions> = {
	...readOptions,
	entityType: anyText,
	hydrate: flag,
};

/** What LOOKUP of the table `T` (any, where it is not known) finds. */
export type Found<M extends Models, T, Hydrate> = Hydrate extends true
	? Hydrated<
			string extends T ? M[number] : Extract<M[number], { tableName: T }>
		>
	: Omit<LookupHit, "record">;

/** Distinguished by `entityType`; a type that no model is registered for comes without its row. */
type Hydrated<E> =
	E extends Entity<infer Name>
		? LookupHit<Row<E>> & { readonly entityType: Name }
		: never;

/** @internal Every entity of every key: by itself in a transaction, else together with the lookups of the same tick. */
export async function findByKeys(
	core: ServiceCore,
	entityKeys: readonly string[],
	options: LookupOptions,
): Promise<LookupHit[]> {
	const request = toRequest(core, entityKeys, options);
	checkLookup(request);
	const handle = core.source(options.transaction, options.consistency);
	const { signal } = options;
	// A statement that answers other calls too is not cancelled for one of them.
	const queue =
		core.settings.coalesceLookups && signal === undefined
			? queueOf(core, handle)
			: undefined;
	const found = await (queue === undefined
		? send(core, stoppable(handle, signal), request)
		: queue.lookup(request));
	return found.map(({ hit }) => hit);
}

function toRequest(
	core: ServiceCore,
	entityKeys: readonly string[],
	{ tenantId, userId, entityType, hydrate = false }: LookupOptions,
): LookupRequest {
	if (entityType !== undefined) core.registry.get(entityType);
	return {
		entityKeys,
		tenantId: core.tenant(tenantId),
		userId,
		entityType,
		hydrate: hydrate ? cachedTables(core, entityType) : undefined,
	};
}

/** The tables whose names are in the cache, or the one of that type; the same array while the models are the same. */
function cachedTables(
	{ registry }: ServiceCore,
	entityType: string | undefined,
): readonly EntityTable[] {
	const all = registry.all();
	const known = tablesByType.get(all) ?? new Map();
	tablesByType.set(all, known);
	const tables: readonly EntityTable[] =
		known.get(entityType) ??
		(entityType === undefined ? all : [registry.get(entityType)]).filter(
			({ entity }) => entity.createKvTrigger,
		);
	known.set(entityType, tables);
	return tables;
}

/** The lists by the array of all tables, then by the entity type. */
const tablesByType = new WeakMap<
	readonly EntityTable[],
	Map<string | undefined, readonly EntityTable[]>
>();

/** The queue of each handle of a core: lookups on the same handle are sent together. A transaction has none. */
const queues = new WeakMap<ServiceCore, Map<Handle, LookupQueue>>();

function queueOf(core: ServiceCore, handle: Handle): LookupQueue | undefined {
	if (handle !== core.db && handle !== core.replica) return undefined;
	const ofCore = queues.get(core) ?? new Map<Handle, LookupQueue>();
	const open = ofCore.get(handle);
	if (open !== undefined) return open;
	const queue = new LookupQueue((request) => send(core, handle, request));
	queues.set(core, ofCore.set(handle, queue));
	return queue;
}

function send(
	core: ServiceCore,
	handle: Handle,
	request: LookupRequest,
): Promise<FoundKey[]> {
	const db = core.handle(request.tenantId, handle);
	const { schema } = core.settings;
	const named = core.db.capabilities.namedStatements;
	const near = handle === core.db ? core.nearHandle(request.tenantId) : db;
	return lookup(
		{ db, near, schema, fallback: core.cacheFallback, named },
		request,
	);
}

import type { Consistency, Handle } from "../db/database.ts";
import type { Entity } from "../models/entity.ts";
import type { EntityTable } from "../models/registry.ts";
import type { Row } from "../models/types.ts";
import type { CacheFallback } from "../query/cached-read.ts";
import {
	checkLookup,
	type FoundKey,
	type LookupHit,
	type LookupRequest,
	lookup,
} from "../query/lookup.ts";
import { LookupQueue } from "../query/lookup-queue.ts";
import type { ServiceCore } from "../core/service-core.ts";

type Models = readonly Entity[];

/** What LOOKUP of the table `T` (any, where it is not known) finds. */
export type Found<M extends Models, T, Hydrate> = Hydrate extends true
	? Hydrated<
			string extends T ? M[number] : Extract<M[number], { tableName: T }>
		>
	: Omit<LookupHit, "record">;

/** Told apart by `entityType`; a type that no model is registered for comes without its row. */
type Hydrated<E> =
	E extends Entity<infer Name>
		? LookupHit<Row<E>> & { readonly entityType: Name }
		: never;

export interface LookupCall {
	readonly tenantId?: string | undefined;
	readonly userId?: string | null | undefined;
	readonly transaction?: Handle | undefined;
	readonly consistency?: Consistency | undefined;
	readonly entityType?: string | undefined;
	readonly hydrate?: boolean | undefined;
}

/** LOOKUP as the service offers it: by itself in a transaction, else together with those of the same tick. */
export class Lookups {
	readonly #core: ServiceCore;
	readonly #fallback: CacheFallback;
	/** Those that go to the same place are sent together. */
	readonly #queues = new Map<Handle, LookupQueue>();

	/** @internal */
	constructor(core: ServiceCore, fallback: CacheFallback) {
		this.#core = core;
		this.#fallback = fallback;
		for (const handle of [core.db, core.replica])
			this.#queues.set(
				handle,
				new LookupQueue((request) => this.#send(handle, request)),
			);
	}

	async find(
		entityKeys: readonly string[],
		call: LookupCall,
	): Promise<LookupHit[]> {
		const request = this.#request(entityKeys, call);
		checkLookup(request);
		const handle = this.#core.source(call.transaction, call.consistency);
		const queue = this.#core.settings.coalesceLookups
			? this.#queues.get(handle)
			: undefined;
		const found = await (queue === undefined
			? this.#send(handle, request)
			: queue.lookup(request));
		return found.map(({ hit }) => hit);
	}

	#request(entityKeys: readonly string[], call: LookupCall): LookupRequest {
		const { userId, entityType } = call;
		const tenantId = this.#core.tenant(call.tenantId);
		const hydrate =
			call.hydrate === true ? this.#cachedTables(entityType) : undefined;
		if (entityType !== undefined) this.#core.registry.get(entityType);
		return { entityKeys, tenantId, userId, entityType, hydrate };
	}

	#cachedTables(entityType: string | undefined): EntityTable[] {
		const { registry } = this.#core;
		const tables =
			entityType === undefined ? registry.all() : [registry.get(entityType)];
		return tables.filter(({ entity }) => entity.createKvTrigger);
	}

	#send(handle: Handle, request: LookupRequest): Promise<FoundKey[]> {
		const db = this.#core.handle(request.tenantId, handle);
		return lookup(db, this.#core.settings.schema, request, this.#fallback, {
			named: this.#core.db.capabilities.namedStatements,
		});
	}
}

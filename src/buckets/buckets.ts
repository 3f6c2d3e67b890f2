import type { Embeddings } from "../core/embeddings.ts";
import type { SchemaLifecycle } from "../core/schema-lifecycle.ts";
import { ServiceCore } from "../core/service-core.ts";
import { EmbeddingWorker } from "../embed-sync/worker.ts";
import type { BackgroundIndexer } from "../indexer/background-indexer.ts";
import { type KvCache, RebuildTurns } from "../kv/kv-cache.ts";
import type { EntityTable } from "../models/registry.ts";
import { elementAt } from "../util/present.ts";
import { bucketSchemas } from "./bucket-names.ts";
import { bucketOf } from "./bucket-of.ts";
import { embeddingsOfBuckets } from "./embeddings.ts";
import { indexerOfBuckets } from "./indexer.ts";
import { kvOfBuckets } from "./kv.ts";
import { schemaOfBuckets } from "./schema.ts";

type Parts = ConstructorParameters<typeof ServiceCore>[0];

/**
 * The core of a service whose tenants are spread over several schemas, the
 * buckets. Each bucket has a core over the same database and providers, created
 * at its first use. The schema of this core has no tables: a call that is sent
 * to it by mistake fails instead of finding fewer rows.
 */
export class Buckets extends ServiceCore {
	/** The schema of each bucket, by its number. */
	readonly schemas: readonly string[];
	override readonly kv: KvCache;
	override readonly embeddings: Embeddings;
	override readonly indexer: BackgroundIndexer;
	override readonly schema: SchemaLifecycle;
	readonly #parts: Parts;
	readonly #cores: (ServiceCore | undefined)[] = [];
	readonly #worker: EmbeddingWorker;
	readonly #building = new Set<object>();
	readonly #rebuildTurns = new RebuildTurns();

	constructor(parts: Parts & { readonly buckets: number }) {
		super(parts);
		this.#parts = parts;
		this.schemas = bucketSchemas(parts.settings.schema, parts.buckets);
		this.#worker = new EmbeddingWorker(
			() => this.all().map(({ embeddings }) => embeddings.context),
			parts.settings.logger,
		);
		this.kv = kvOfBuckets(this);
		this.embeddings = embeddingsOfBuckets(this, this.#worker);
		this.indexer = indexerOfBuckets(this);
		this.schema = schemaOfBuckets(this);
	}

	/** The core of a tenant's bucket, by default of the default tenant's; throws `TENANT_REQUIRED` without both. */
	of(tenantId: string | undefined): ServiceCore {
		return this.at(this.numberOf(this.tenant(tenantId)));
	}

	/** The number of a tenant's bucket. */
	numberOf(tenantId: string): number {
		return bucketOf(tenantId, this.schemas.length);
	}

	/** The core of the bucket of that number. */
	at(number: number): ServiceCore {
		const core = this.#cores[number] ?? this.#open(number);
		this.#cores[number] = core;
		return core;
	}

	/** Whether every entity has tenants: then a call of one tenant concerns one bucket only. */
	get allHaveTenants(): boolean {
		return this.registry.all().every(({ entity }) => entity.tenantScoped);
	}

	/** The cores of all buckets, in their order. */
	all(): readonly ServiceCore[] {
		return this.schemas.map((_, number) => this.at(number));
	}

	/** The tables with distinct rows: that of each bucket, or that of bucket 0 where an entity has no tenants, as its rows are the same in all. */
	tablesOf({ entity }: EntityTable): EntityTable[] {
		const cores = entity.tenantScoped ? this.all() : [this.at(0)];
		return cores.map(({ registry }) => registry.get(entity.tableName));
	}

	/** The cores that were created so far. */
	opened(): readonly ServiceCore[] {
		return this.#cores.filter((core) => core !== undefined);
	}

	#open(number: number): ServiceCore {
		const schema = elementAt(this.schemas, number);
		const { settings, registry } = this.#parts;
		return new ServiceCore({
			...this.#parts,
			registry: registry.copy(schema),
			settings: { ...settings, schema },
			embedder: this.embedder,
			worker: this.#worker,
			building: this.#building,
			rebuildTurns: this.#rebuildTurns,
			// A migration file of the user is applied in each bucket.
			searchPath: [schema, settings.schema, "public"],
		});
	}
}

/** The core that has the rows of a tenant, by default of the default one: with buckets, that of its bucket. */
export function coreOfTenant(
	core: ServiceCore,
	tenantId: string | undefined,
): ServiceCore {
	return core instanceof Buckets ? core.of(tenantId) : core;
}

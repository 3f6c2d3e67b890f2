import { BackgroundIndexer } from "../indexer/background-indexer.ts";
import { KvCache } from "../kv/kv-cache.ts";
import type { EntityTable } from "../models/registry.ts";
import { type TracedMethod, traced } from "../telemetry/traced.ts";
import { Embeddings } from "../core/embeddings.ts";
import { Repository } from "./repository.ts";

interface TracedService {
	readonly core: {
		readonly registry: { all(): readonly EntityTable[] };
	};
}

/** Every public verb, the span it becomes, and what the span tells: names and counts. */
export function traceVerbs(servicePrototype: object): void {
	traced(servicePrototype, serviceVerbs);
	traced(Repository.prototype, repositoryVerbs);
	traced(KvCache.prototype, {
		verify: { operation: "kv.verify", found: counts("compared", "differing") },
	});
	traced(BackgroundIndexer.prototype, {
		build: { operation: "index.build" },
	});
	traced(Embeddings.prototype, {
		sync: {
			operation: "embeddings.sync",
			found: counts("embedded", "settled", "dead", "removed"),
		},
		retry: { operation: "embeddings.retry" },
		switch: { operation: "embeddings.switch" },
		prune: { operation: "embeddings.prune" },
	});
}

const serviceVerbs: Readonly<Record<string, TracedMethod>> = {
	migrate: {
		operation: "migrate",
		found: ({ applied }: { readonly applied: readonly string[] }) => ({
			"remdb.applied": applied.length,
		}),
	},
	batchUpsert: {
		operation: "batchUpsert",
		table: tableOfCall,
		found: counts(
			"inserted",
			"updated",
			"unchanged",
			"embeddingsGenerated",
			"embeddingsReused",
			"embeddingsQueued",
			"kvEntries",
		),
	},
	lookupEntity: {
		operation: "lookupEntity",
		found: (hit: object | undefined) => returned(hit === undefined ? 0 : 1),
	},
	lookupEntities: { operation: "lookupEntities", found: rows },
	fuzzySearch: { operation: "fuzzySearch", found: rows },
	vectorSearch: { operation: "vectorSearch", table: tableOfCall, found: rows },
	hybridSearch: { operation: "hybridSearch", table: tableOfCall, found: rows },
	traverse: {
		operation: "traverse",
		found: ({ nodes }: { readonly nodes: readonly unknown[] }) => rows(nodes),
	},
	link: { operation: "link" },
	unlink: { operation: "unlink" },
	query: {
		operation: "query",
		found: (result: {
			readonly kind: string;
			readonly rows?: readonly unknown[];
		}) => ({
			"remdb.query.kind": result.kind,
			...(result.rows === undefined ? {} : rows(result.rows)),
		}),
	},
	createIndexConcurrently: {
		operation: "createIndexConcurrently",
		table: tableOfCall,
	},
	execute: {
		operation: "execute",
		found: ({ rowCount }: { readonly rowCount: number }) => returned(rowCount),
	},
	transaction: { operation: "transaction" },
	doctor: { operation: "doctor" },
};

const ofRepository = ({ tableName }: { readonly tableName: string }) =>
	tableName;

const repositoryVerbs: Readonly<Record<string, TracedMethod>> = {
	upsert: { operation: "upsert", table: ofRepository, found: oneOrRows },
	find: { operation: "find", table: ofRepository, found: rows },
	count: { operation: "count", table: ofRepository },
	getById: { operation: "getById", table: ofRepository, found: oneOrRows },
	getBySession: { operation: "getBySession", table: ofRepository, found: rows },
	delete: { operation: "delete", table: ofRepository },
	restore: { operation: "restore", table: ofRepository },
	purge: { operation: "purge", table: ofRepository },
};

/** Only the name of a table there is: whatever else a caller passes may be anything. */
function tableOfCall(
	{ core }: TracedService,
	options: { readonly tableName?: unknown } | undefined,
): string | undefined {
	const name = nameIn(options);
	const table = core.registry
		.all()
		.find(({ entity }) => entity.tableName === name);
	return table?.entity.tableName;
}

function nameIn(
	options: { readonly tableName?: unknown } | undefined,
): unknown {
	try {
		return options?.tableName;
	} catch {
		return undefined; // a getter threw: the call reports it
	}
}

function rows(found: readonly unknown[]) {
	return returned(found.length);
}

function oneOrRows(found: unknown) {
	if (Array.isArray(found)) return rows(found);
	return returned(found === undefined ? 0 : 1);
}

function returned(count: number) {
	return { "db.response.returned_rows": count };
}

/** `remdb.inserted` of the result's `inserted`. */
function counts<Name extends string>(...names: readonly Name[]) {
	return (result: Readonly<Record<Name, number>>) =>
		Object.fromEntries(names.map((name) => [`remdb.${name}`, result[name]]));
}

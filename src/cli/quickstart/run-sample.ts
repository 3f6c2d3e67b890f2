import { readFileSync } from "node:fs";
import { readEnvironment } from "../../config.ts";
import { semanticModel } from "../../embeddings/local.ts";
import type { FuzzyHit, LookupHit, UpsertResult } from "../../index.ts";
import { Resource } from "../../models/core-entities.ts";
import { packageFile } from "../../util/package-file.ts";
import type { AnySearchHit } from "../commands/search.ts";
import { RowShaper } from "../load/shape-row.ts";

/** The sample that is shipped with the package: the knowledge of a company that does not exist. */
export const samplePath =
	packageFile("samples/quickstart.json") ?? "samples/quickstart.json";

/** Tenant of the sample's rows, out of the way of all others. */
export const sampleTenant = "quickstart";

/** The three ways to find something, as the sample is asked. */
export const questions = {
	lookup: "Deployment Guide",
	fuzzy: "deploymnt gide",
	search: "what do mechanics check on the brakes of a bike?",
} as const;

export interface Timed<T> {
	readonly ms: number;
	readonly value: T;
}

/** What the quickstart did and found, with the time of each step. */
export interface SampleRun {
	readonly engine: "server" | "embedded";
	/** `local`, or what the environment names. */
	readonly provider: string;
	readonly setUp: Timed<readonly string[]>;
	readonly load: Timed<UpsertResult>;
	/** The same rows again. */
	readonly again: Timed<UpsertResult>;
	readonly lookup: Timed<LookupHit[]>;
	readonly fuzzy: Timed<FuzzyHit[]>;
	readonly search: Timed<AnySearchHit[]>;
}

/** The main job from end to end: set up, load, load again, and find in three ways. */
export async function runSample(connectionString: string): Promise<SampleRun> {
	const { PostgresService } = await import("../../index.ts");
	const opened = performance.now();
	const service = await PostgresService.connect({
		connectionString,
		models: [Resource],
		embedding: offlineUnlessAsked(),
	});
	try {
		const tenantId = sampleTenant;
		const { applied } = await service.migrate();
		const setUp = { ms: performance.now() - opened, value: applied };
		const load = () =>
			service.batchUpsert({
				tableName: "resources",
				entities: sampleRows(),
				tenantId,
			});
		return {
			engine: service.capabilities.kind,
			provider: readEnvironment().EMBEDDING__PROVIDER ?? "local",
			setUp,
			load: await timed(load),
			again: await timed(load),
			lookup: await timed(() =>
				service.lookupEntities({ entityKeys: [questions.lookup], tenantId }),
			),
			fuzzy: await timed(() =>
				service.fuzzySearch({ query: questions.fuzzy, tenantId, limit: 3 }),
			),
			search: await timed(() =>
				service.vectorSearch({
					tableName: "resources",
					queryText: questions.search,
					tenantId,
					limit: 3,
				}),
			),
		};
	} finally {
		await service.close();
	}
}

/** No network and no bill in a first try, even where a key is set. */
function offlineUnlessAsked() {
	const { EMBEDDING__PROVIDER: named } = readEnvironment();
	return named === undefined
		? ({ provider: "local", model: semanticModel } as const)
		: {};
}

function sampleRows(): never[] {
	const shaper = new RowShaper(Resource, [], false);
	const rows: unknown[] = JSON.parse(readFileSync(samplePath, "utf8"));
	return rows.map((row) => shaper.shape(row).row as never);
}

async function timed<T>(work: () => Promise<T>): Promise<Timed<T>> {
	const started = performance.now();
	const value = await work();
	return { ms: performance.now() - started, value };
}

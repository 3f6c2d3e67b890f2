import {
	defineEntity,
	type EmbeddingOptions,
	type Evaluation,
	type EvaluationMode,
	type JudgedQuery,
	PostgresService,
	RemError,
} from "remdb";
import * as z from "zod";
import { mean, ndcgAt, recallAt } from "../../src/util/ranking-metrics.ts";
import { BenchDatabase } from "../support/bench-database.ts";
import { bm25 } from "../support/bm25.ts";
import {
	atLeast,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import {
	type Collection,
	readCollections,
	sampled,
} from "../support/retrieval-collections.ts";
import { tenantId } from "../support/workbench.ts";

/** How well searches find what is relevant, next to BM25 over the same texts. */
export const quality: BenchCase = { name: "quality", run };

/** Models of the local provider; one that this version does not have is passed over. */
const localModels = ["lexical-v1", "semantic-v1"];

const k = 10;

const Text = defineEntity(
	"texts",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);

async function run(context: Context): Promise<Figure[]> {
	const { quick, say } = context;
	const figures: Figure[] = [];
	const all = readCollections();
	if (all.length === 1)
		say("quality: REM_TEST_DATA is not set, only the samples are measured");
	for (const engine of ["server", "embedded"] as const) {
		// The same results come from both: the embedded one is slower.
		const count = quick ? 10 : engine === "server" ? 75 : 15;
		for (const model of localModels)
			for (const whole of all) {
				const collection = sampled(whole, count);
				const title = `${collection.name}, ${engine}, ${model}`;
				const evaluation = await onEngine(engine, context, model, (service) =>
					measure(service, collection),
				);
				if (evaluation === undefined) {
					say(`quality: the local provider has no model ${model}`);
					break;
				}
				figures.push(...describe(title, collection, evaluation));
				say(markdownRow(title, collection, evaluation));
			}
	}
	return figures;
}

type Service = PostgresService<readonly [typeof Text]>;

/** On a database of its own; `undefined` where the local provider has no such model. */
async function onEngine<T>(
	engine: "server" | "embedded",
	{ server }: Context,
	model: string,
	work: (service: Service) => Promise<T>,
): Promise<T | undefined> {
	const embedding: EmbeddingOptions = { provider: "local", model };
	if (engine === "embedded") return onDatabase("memory:", embedding, work);
	const database = await BenchDatabase.create(server);
	try {
		return await onDatabase(database.url, embedding, work);
	} finally {
		await database.drop();
	}
}

async function onDatabase<T>(
	connectionString: string,
	embedding: EmbeddingOptions,
	work: (service: Service) => Promise<T>,
): Promise<T | undefined> {
	try {
		const service = await PostgresService.connect({
			connectionString,
			models: [Text],
			embedding,
			// Its indexes are built once the documents are there.
			backgroundIndex: { enabled: false },
		});
		try {
			await service.migrate();
			return await work(service);
		} finally {
			await service.close();
		}
	} catch (error) {
		if (error instanceof RemError && error.code === "PROVIDER_NOT_CONFIGURED")
			return undefined;
		throw error;
	}
}

async function measure(
	service: Service,
	{ documents, queries }: Collection,
): Promise<Evaluation> {
	const tableName = "texts";
	await service.batchUpsert({ tableName, entities: documents, tenantId });
	await service.indexer.repair({ missing: true });
	await service.indexer.drain();
	return service.evaluate({ tableName, queries, k, tenantId });
}

interface Quality {
	readonly ndcg: number;
	readonly recall: number;
}

/** The same figures of BM25. */
function reference({ documents, queries }: Collection): Quality {
	const search = bm25(
		new Map(documents.map(({ name, content }) => [name, content])),
	);
	const known = new Set(documents.map(({ name }) => name));
	const samples = queries
		.map((judged) => ({ ...judged, gains: gainsOf(judged, known) }))
		.filter(({ gains }) => gains.size > 0)
		.map(({ query, gains }) => {
			const ranked = search(query, k);
			return {
				ndcg: ndcgAt(k, ranked, gains),
				recall: recallAt(k, ranked, gains),
			};
		});
	return {
		ndcg: mean(samples.map(({ ndcg }) => ndcg)),
		recall: mean(samples.map(({ recall }) => recall)),
	};
}

function gainsOf({ relevant }: JudgedQuery, known: ReadonlySet<string>) {
	const pairs: [string, number][] = isList(relevant)
		? relevant.map((name) => [name, 1])
		: Object.entries(relevant);
	return new Map(pairs.filter(([name]) => known.has(name)));
}

function isList(
	relevant: JudgedQuery["relevant"],
): relevant is readonly string[] {
	return Array.isArray(relevant);
}

const names: Readonly<Record<string, string>> = {
	vector: "vectorSearch",
	text: "text alone",
	hybrid: "hybridSearch",
};

/** Each mode against BM25; recall, where there is one, against hybridSearch. */
function describe(
	title: string,
	collection: Collection,
	{ modes, queries }: Evaluation,
): Figure[] {
	const bm25 = reference(collection);
	return Object.entries(modes).map(([mode, found]): Figure => {
		const isRecall = mode === "recall";
		const other = isRecall ? (modes.hybrid ?? bm25) : bm25;
		return {
			name: `${title}: ${names[mode] ?? mode} ÷ ${isRecall ? "hybridSearch" : "BM25"}, nDCG@${k}`,
			values: [found.ndcg / other.ndcg],
			unit: "×",
			...(hasTarget(mode) ? { target: atLeast(1) } : {}),
			detail: `nDCG ${shown(found.ndcg)} / ${shown(other.ndcg)}, recall ${shown(found.recall)} / ${shown(other.recall)}, p50 ${found.p50Ms.toFixed(1)} ms, ${queries} queries`,
		};
	});
}

function hasTarget(mode: string): boolean {
	return mode === "hybrid" || mode === "recall";
}

/** The row of the table in docs/retrieval.md: nDCG / recall of BM25 and of each mode. */
function markdownRow(
	title: string,
	collection: Collection,
	{ modes, queries }: Evaluation,
): string {
	const cells = [
		reference(collection),
		...(Object.keys(modes) as EvaluationMode[]).map((mode) => modes[mode]),
	].map((found) =>
		found === undefined ? "" : `${shown(found.ndcg)} / ${shown(found.recall)}`,
	);
	return `| ${[title, String(queries), ...cells].join(" | ")} |`;
}

function shown(value: number): string {
	return value.toFixed(3);
}

/**
 * Measures remdb against what the server itself can do, in the same run.
 *
 *     npm run bench -- --help
 *
 * A missed target is a result, not an error: the exit code says whether
 * everything could be measured.
 */
import { writeFileSync } from "node:fs";
import { buckets } from "./cases/buckets.ts";
import { bulkLoad } from "./cases/bulk-load.ts";
import { connections } from "./cases/connections.ts";
import { embedded } from "./cases/embedded.ts";
import { chunks, embedding } from "./cases/embedding.ts";
import { exportAndImport } from "./cases/export.ts";
import { fuzzy } from "./cases/fuzzy.ts";
import { fuzzyScale } from "./cases/fuzzy-scale.ts";
import { graph } from "./cases/graph.ts";
import { indexBuild } from "./cases/index-build.ts";
import { kvRebuild } from "./cases/kv-rebuild.ts";
import { kvUpkeep } from "./cases/kv-upkeep.ts";
import { list } from "./cases/list.ts";
import { lookup } from "./cases/lookup.ts";
import { mcp } from "./cases/mcp.ts";
import { oneVector } from "./cases/one-vector.ts";
import { peerSearches } from "./cases/peer-searches.ts";
import { peers } from "./cases/peers.ts";
import { quality } from "./cases/quality.ts";
import { quickstart } from "./cases/quickstart.ts";
import { search } from "./cases/search.ts";
import { searchPlans } from "./cases/search-plans.ts";
import { searchSpeed } from "./cases/search-speed.ts";
import { stream } from "./cases/stream.ts";
import { studioCase } from "./cases/studio.ts";
import { twoVectors } from "./cases/two-vectors.ts";
import { unchanged } from "./cases/unchanged.ts";
import { vectors } from "./cases/vectors.ts";
import { type Arguments, readArguments, usage } from "./support/arguments.ts";
import { openBenchServer } from "./support/bench-server.ts";
import type { BenchCase, Context, Figure } from "./support/case.ts";
import { howToInstall } from "./support/peer-libraries.ts";
import { describeMachine, table, toJson } from "./support/report.ts";

const cases: readonly BenchCase[] = [
	oneVector,
	twoVectors,
	vectors,
	unchanged,
	exportAndImport,
	embedding,
	chunks,
	kvUpkeep,
	lookup,
	list,
	connections,
	fuzzy,
	fuzzyScale,
	kvRebuild,
	search,
	quality,
	searchSpeed,
	searchPlans,
	graph,
	indexBuild,
	bulkLoad,
	buckets,
	embedded,
	stream,
	quickstart,
	mcp,
	studioCase,
	peers,
	peerSearches,
];

async function main(): Promise<void> {
	const options = readArguments(
		process.argv.slice(2),
		cases.map(({ name }) => name),
	);
	if (options.help) return print(usage);
	if (options.peersFolder === "") return print(howToInstall);
	const server = await openBenchServer();
	try {
		print(describeMachine(server));
		const figures = await measure(chosen(options), {
			server,
			quick: options.quick,
			full: options.full,
			rounds: options.rounds,
			peersFolder: options.peersFolder,
			say,
		});
		print(`\n${table(figures)}`);
		if (options.jsonFile !== undefined)
			writeFileSync(options.jsonFile, toJson(server, options.quick, figures));
	} finally {
		await server.stop();
	}
}

function chosen({ only, peersFolder }: Arguments): BenchCase[] {
	return cases.filter(({ name }) =>
		only === undefined
			? !name.startsWith("peer") || peersFolder !== undefined
			: only.includes(name),
	);
}

/** A case that fails takes no other with it, but the run has failed. */
async function measure(
	chosen: readonly BenchCase[],
	context: Context,
): Promise<Figure[]> {
	const figures: Figure[] = [];
	for (const { name, run } of chosen) {
		const started = performance.now();
		try {
			figures.push(...(await run(context)));
			say(`${name}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
		} catch (error) {
			say(`${name}: ${error instanceof Error ? error.stack : error}`);
			process.exitCode = 1;
		}
	}
	return figures;
}

function print(text: string): void {
	process.stdout.write(`${text}\n`);
}

function say(line: string): void {
	process.stderr.write(`bench: ${line}\n`);
}

await main().catch((error: unknown) => {
	say(error instanceof Error ? error.message : String(error));
	process.exitCode = 1;
});

/**
 * Breaks what can break (servers, connections, processes) under load, and
 * compares what users are told with what is true.
 *
 *     npm run chaos -- --help
 */
import { embeddings } from "./cases/embeddings.ts";
import { failovers } from "./cases/failovers.ts";
import { kv } from "./cases/kv.ts";
import { readArguments, usage } from "./support/arguments.ts";
import type { ChaosCase, ChaosResult } from "./support/case.ts";

const cases: readonly ChaosCase[] = [kv, failovers, embeddings];

async function main(): Promise<void> {
	const options = readArguments(
		process.argv.slice(2),
		cases.map(({ name }) => name),
	);
	if (options.help) return print(usage);
	for (const { name, run } of cases) {
		if (options.only?.includes(name) === false) continue;
		const started = performance.now();
		try {
			report(name, await run({ ...options, say }));
		} catch (error) {
			// A case that fails takes no other with it, but the run has failed.
			say(`${name}: ${error instanceof Error ? error.stack : error}`);
			process.exitCode = 1;
		}
		say(`${name}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
	}
}

function report(name: string, { figures, violations }: ChaosResult): void {
	print(`\n${name}`);
	for (const [what, figure] of Object.entries(figures))
		print(`  ${what}: ${figure.toLocaleString("en-US")}`);
	for (const violation of violations) print(`  BROKEN: ${violation}`);
	if (violations.length === 0) print("  every promise held");
	else process.exitCode = 1;
}

function print(text: string): void {
	process.stdout.write(`${text}\n`);
}

function say(line: string): void {
	process.stderr.write(`chaos: ${line}\n`);
}

await main().catch((error: unknown) => {
	say(error instanceof Error ? error.message : String(error));
	process.exitCode = 1;
});

import { relative } from "node:path";
import type { UpsertResult } from "../../index.ts";
import { snakeNames } from "../output/json-text.ts";
import { counted, duration } from "../output/numbers.ts";
import { oneLine } from "../output/plain-text.ts";
import { heading, type Line } from "../output/terminal.ts";
import { cut, pad } from "../output/text-width.ts";
import {
	questions,
	type SampleRun,
	samplePath,
	sampleTenant,
	type Timed,
} from "./run-sample.ts";

export interface SampleTextOptions {
	/** How to start this program: `rem`. */
	readonly program: string;
	readonly width: number;
	/** Whether the sample is in a database that is still there afterwards. */
	readonly stays: boolean;
}

/** The run as a short story: what was done, what was found, what to try next. */
export function sampleLines(
	run: SampleRun,
	options: SampleTextOptions,
): Line[] {
	const width = Math.min(options.width, 100);
	const sample = relative(process.cwd(), samplePath);
	const where =
		run.engine === "server"
			? "your PostgreSQL server"
			: options.stays
				? "the embedded PostgreSQL"
				: "PostgreSQL embedded in this process, in memory";
	const timed = (text: string, { ms }: { readonly ms: number }) =>
		timedLine(text, ms, width);
	const answer = (score: string, name: string, about: unknown) =>
		cut(
			`  ${pad(score, 4)} ${pad(name, 28)} ${oneLine(String(about ?? ""))}`,
			width,
		);
	return [
		heading(`remdb on ${where}`),
		"",
		timed(
			`1. set up   ${run.setUp.value.length} migrations: extensions, cache of names, table resources`,
			run.setUp,
		),
		timed(`2. load     ${loaded(run.load.value)} from ${sample}`, run.load),
		`            validated, embedded by ${provider(run)}, upserted, names cached`,
		timed(`3. again    ${unchanged(run.again.value)}`, run.again),
		"",
		heading(
			timed(
				`LOOKUP "${questions.lookup}"  (a name, whatever its case and marks)`,
				run.lookup,
			),
		),
		...run.lookup.value.map((hit) =>
			answer("", hit.entityKey, hit.contentSummary),
		),
		"",
		heading(timed(`FUZZY  "${questions.fuzzy}"  (nearly a name)`, run.fuzzy)),
		...run.fuzzy.value.map((hit) =>
			answer(hit.score.toFixed(2), hit.entityKey, hit.contentSummary),
		),
		"",
		heading(
			timed(`SEARCH "${questions.search}"  (${searchKind(run)})`, run.search),
		),
		...run.search.value.map((hit) =>
			answer(hit.similarity.toFixed(2), String(hit.name), hit.description),
		),
		"",
		...honesty(run),
		heading("Next"),
		...next(options, sample).map((line) => `  ${line}`),
	];
}

/** The same for programs. */
export function sampleJson(run: SampleRun): Record<string, unknown> {
	const { setUp, load, again, lookup, fuzzy, search, ...rest } = run;
	return snakeNames({
		...rest,
		setUp: { ms: setUp.ms, applied: setUp.value },
		load: { ms: load.ms, ...counts(load.value) },
		again: { ms: again.ms, ...counts(again.value) },
		lookup: answerJson(questions.lookup, lookup),
		fuzzy: answerJson(questions.fuzzy, fuzzy),
		search: answerJson(questions.search, search),
	});
}

function answerJson(query: string, { ms, value }: Timed<readonly object[]>) {
	return { query, ms, hits: value.map(snakeNames) };
}

function counts({ ids: _, ...result }: UpsertResult) {
	return snakeNames(result);
}

function timedLine(text: string, ms: number, width: number): string {
	const time = duration(ms);
	const room = width - time.length - 1;
	return `${pad(cut(text, room), room)} ${time}`;
}

function loaded(result: UpsertResult): string {
	const rows = result.inserted + result.updated;
	return `${counted(rows, "entity", "entities")}, ${counted(result.embeddingsGenerated, "text")}`;
}

function unchanged(result: UpsertResult): string {
	return `the same rows: ${counted(result.unchanged, "entity", "entities")} unchanged, ${counted(result.embeddingsGenerated, "text")} embedded`;
}

function provider({ provider }: SampleRun): string {
	return provider === "local" ? "the offline provider local" : provider;
}

function searchKind({ provider }: SampleRun): string {
	return provider === "local" ? "words and their meanings" : "meaning";
}

function honesty({ provider }: SampleRun): string[] {
	if (provider !== "local") return [];
	return [
		"The offline provider knows what English words mean, but not sentences: it needs no key and no network.",
		"For search by the meaning of sentences set OPENAI_API_KEY, or EMBEDDING__PROVIDER and its key.",
		"",
	];
}

function next({ program, stays }: SampleTextOptions, sample: string): string[] {
	const options = stays ? ` --url URL --tenant ${sampleTenant}` : "";
	return [
		...(stays
			? []
			: [
					`${program} load ${sample} --table resources     # into the embedded database in ./.rem`,
				]),
		`${program} lookup priya-raman battery-pack-l2${options}`,
		`${program} search "who looks after the databases?" --table resources${options}`,
		`${program} load --help`,
	];
}

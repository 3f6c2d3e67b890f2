import { relative } from "node:path";
import type { UpsertResult } from "../../index.ts";
import { snakeNames } from "../output/json-names.ts";
import { counted, duration } from "../output/numbers.ts";
import { oneLine } from "../output/plain-text.ts";
import { heading, type Line } from "../output/terminal.ts";
import { cut, pad } from "../output/text-width.ts";
import {
	questions,
	type SampleRun,
	samplePath,
	sampleTenant,
} from "./run-sample.ts";

export interface TellOptions {
	/** How to start this program: `rem`. */
	readonly program: string;
	readonly width: number;
	/** Whether the sample is in a database that is still there afterwards. */
	readonly stays: boolean;
}

/** The run as a short story: what was done, what was found, what to try next. */
export function sampleLines(run: SampleRun, options: TellOptions): Line[] {
	const width = Math.min(options.width, 100);
	const sample = relative(process.cwd(), samplePath);
	const where =
		run.engine === "server"
			? "your PostgreSQL server"
			: options.stays
				? "the embedded PostgreSQL"
				: "PostgreSQL embedded in this process, in memory";
	return [
		heading(`remdb on ${where}`),
		"",
		step(
			1,
			"set up",
			`${run.setUp.value.length} migrations: extensions, cache of names, table resources`,
			run.setUp.ms,
			width,
		),
		step(
			2,
			"load",
			`${loaded(run.load.value)} from ${sample}`,
			run.load.ms,
			width,
		),
		`            validated, embedded by ${provider(run)}, upserted, names cached`,
		step(3, "again", unchanged(run.again.value), run.again.ms, width),
		"",
		question(
			"LOOKUP",
			questions.lookup,
			"a name, however it is spelt",
			run.lookup.ms,
			width,
		),
		...run.lookup.value.map((hit) =>
			answer("", hit.entityKey, hit.contentSummary, width),
		),
		"",
		question("FUZZY", questions.fuzzy, "nearly a name", run.fuzzy.ms, width),
		...run.fuzzy.value.map((hit) =>
			answer(hit.score.toFixed(2), hit.entityKey, hit.contentSummary, width),
		),
		"",
		question("SEARCH", questions.search, searchKind(run), run.search.ms, width),
		...run.search.value.map((hit) =>
			answer(
				hit.similarity.toFixed(2),
				String(hit.name),
				hit.description,
				width,
			),
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
		lookup: {
			query: questions.lookup,
			ms: lookup.ms,
			hits: lookup.value.map(snakeNames),
		},
		fuzzy: {
			query: questions.fuzzy,
			ms: fuzzy.ms,
			hits: fuzzy.value.map(snakeNames),
		},
		search: {
			query: questions.search,
			ms: search.ms,
			hits: search.value.map(snakeNames),
		},
	});
}

function counts({ ids: _, ...result }: UpsertResult) {
	return snakeNames(result);
}

function step(
	number: number,
	name: string,
	text: string,
	ms: number,
	width: number,
): string {
	return timedLine(`${number}. ${pad(name, 8)} ${text}`, ms, width);
}

function question(
	verb: string,
	text: string,
	meaning: string,
	ms: number,
	width: number,
): Line {
	return heading(
		timedLine(`${pad(verb, 6)} "${text}"  (${meaning})`, ms, width),
	);
}

function timedLine(text: string, ms: number, width: number): string {
	const time = duration(ms);
	const room = width - time.length - 1;
	return `${pad(cut(text, room), room)} ${time}`;
}

function answer(
	score: string,
	name: string,
	about: unknown,
	width: number,
): string {
	const text = oneLine(String(about ?? ""));
	return cut(`  ${pad(score, 4)} ${pad(name, 28)} ${text}`, width);
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

function next({ program, stays }: TellOptions, sample: string): string[] {
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

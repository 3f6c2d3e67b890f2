import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { NewRow } from "remdb";
import type { Cached } from "./models.ts";
import { randomFrom } from "./random.ts";

/** An entity of a graph, with its edges. */
export type Node = NewRow<typeof Cached>;

interface Film {
	readonly key: string;
	readonly cast: readonly string[];
}

/** Films and their people, edges both ways, and who of them can be asked for. */
export interface CastGraph {
	readonly nodes: readonly Node[];
	readonly people: readonly string[];
	readonly source: string;
}

/** The films in the folder REM_TEST_DATA; without it as many made up, whose people are famous by Zipf's law. */
export function castGraph(quick: boolean): CastGraph {
	const folder = process.env.REM_TEST_DATA;
	const films =
		folder === undefined ? madeUp(quick ? 1_000 : 7_600) : filmsIn(folder);
	const played = new Map<string, string[]>();
	for (const { key, cast } of films)
		for (const name of cast)
			played.set(name, [...(played.get(name) ?? []), key]);
	return {
		nodes: [
			...films.map(({ key, cast }) => node(key, cast, "stars")),
			...[...played].map(([name, keys]) => node(name, keys, "starred_in")),
		],
		people: [...played.keys()],
		source: folder === undefined ? "made up" : "of films",
	};
}

/** Each leads to each. */
export function clique(size: number): Node[] {
	const names = Array.from({ length: size }, (_, at) => `member ${at}`);
	return names.map((name) =>
		node(
			name,
			names.filter((other) => other !== name),
			"knows",
		),
	);
}

/** One that leads to all others. */
export function hub(edges: number): Node[] {
	const leaves = Array.from({ length: edges }, (_, at) => `leaf ${at}`);
	return [
		node("hub", leaves, "has"),
		...leaves.map((name) => node(name, [], "has")),
	];
}

/** One that all others lead to. */
export function centre(edges: number): Node[] {
	return [
		node("centre", [], "has"),
		...Array.from({ length: edges }, (_, at) =>
			node(`leaf ${at}`, ["centre"], "belongs_to"),
		),
	];
}

/** Each leads to many others, and is led to by as many. */
export function dense(size: number, edges: number): Node[] {
	return Array.from({ length: size }, (_, at) =>
		node(
			`node ${at}`,
			Array.from(
				{ length: edges },
				(_, edge) => `node ${(at + 1 + edge * 7) % size}`,
			),
			"knows",
		),
	);
}

function node(name: string, targets: readonly string[], type: string): Node {
	const graphEdges = targets.map((dst) => ({ dst, rel_type: type }));
	return { name, description: "", content: "", graphEdges };
}

function filmsIn(folder: string): Film[] {
	const films = new Map<string, Film>();
	for (const decade of ["1980s", "1990s", "2010s"]) {
		const text = readFileSync(join(folder, `movies-${decade}.json`), "utf8");
		for (const { title, year, cast } of JSON.parse(text)) {
			const key = `${title.slice(0, 200)} (${year})`;
			films.set(key, { key, cast });
		}
	}
	return [...films.values()];
}

function madeUp(count: number): Film[] {
	const random = randomFrom(7);
	const people = Math.round(count * 1.5);
	return Array.from({ length: count }, (_, at) => ({
		key: `film ${at}`,
		cast: [
			...new Set(
				Array.from(
					{ length: 5 },
					() => `person ${Math.floor(people ** random())}`,
				),
			),
		],
	}));
}

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { randomFrom } from "../../../bench/support/random.ts";
import { type NewRow, Resource, User } from "../../../src/index.ts";
import { useService } from "../../support/engine.ts";
import { misspell } from "../../support/misspell.ts";

// 7,633 films and the 11,902 people in them, with all their untidiness. The
// data is not part of the project: REM_TEST_DATA names the folder that has it.
const folder = process.env.REM_TEST_DATA;
if (folder === undefined)
	console.warn("REM_TEST_DATA is not set: the tests on real data do not run");

const sentences = Number(process.env.REM_TEST_SENTENCES ?? 25);

interface Film {
	readonly title: string;
	readonly year: number;
	readonly cast: readonly string[];
	readonly genres: readonly string[];
	readonly href: string | null;
	readonly extract?: string;
}

describe.skipIf(folder === undefined)("films and people", () => {
	const db = useService({ models: [Resource, User] });
	const tenantId = "films";
	let films: Film[] = [];
	let people: NewRow<typeof User>[] = [];

	beforeAll(() => {
		films = ["1980s", "1990s", "2010s"].flatMap(
			(decade) =>
				JSON.parse(
					readFileSync(join(folder as string, `movies-${decade}.json`), "utf8"),
				) as Film[],
		);
		people = peopleOf(films);
	});

	test(
		"load, and load again as unchanged",
		async () => {
			const resources = films.map(toResource);
			const keys = new Set(resources.map(({ name }) => name)).size;
			const edges = people.reduce(
				(sum, { graphEdges }) => sum + (graphEdges?.length ?? 0),
				0,
			);
			expect([films.length, people.length, edges]).toEqual([
				7633, 11902, 37669,
			]);
			for (const time of ["first", "again"]) {
				const loaded = [
					await db.service.batchUpsert({
						tableName: "resources",
						entities: resources,
						tenantId,
					}),
					await db.service.batchUpsert({
						tableName: "users",
						entities: people,
						tenantId,
					}),
				];
				const isFirst = time === "first";
				expect(loaded).toMatchObject([
					{
						inserted: isFirst ? keys : 0,
						unchanged: isFirst ? 0 : keys,
						duplicates: films.length - keys,
						kvEntries: keys,
						...(isFirst ? {} : { embeddingsGenerated: 0 }),
					},
					{
						inserted: isFirst ? people.length : 0,
						unchanged: isFirst ? 0 : people.length,
						kvEntries: people.length,
					},
				]);
			}
		},
		5 * 60_000,
	);

	test("every hundredth name is found, and none of them by another tenant", async () => {
		const names = people
			.filter((_, index) => index % 100 === 0)
			.map(({ name }) => name);
		const found = await db.service.lookupEntities({
			entityKeys: names,
			tenantId,
			entityType: "users",
		});
		const exact = found.filter((hit) => hit.entityKey === hit.requestedKey);
		expect(exact.map((hit) => hit.entityKey)).toEqual(names);
		expect(
			await db.service.lookupEntities({ entityKeys: names, tenantId: "other" }),
		).toEqual([]);
	});

	test("200 misspelt names find their person first, but for a few", async () => {
		const random = randomFrom(1);
		const missed: string[] = [];
		for (let at = 0; at < 200; at++) {
			const { name } = people[Math.floor(random() * people.length)] as {
				name: string;
			};
			const query = misspell(name, random);
			const [hit] = await db.service.fuzzySearch({
				query,
				tenantId,
				entityType: "users",
			});
			if (hit?.entityKey !== name)
				missed.push(`${name}: ${query} found ${hit?.entityKey ?? "nobody"}`);
		}
		console.info(
			`FUZZY, 200 misspelt names among ${people.length}: ${200 - missed.length} find their person first\n${missed.join("\n")}`,
		);
		expect(missed.length).toBeLessThanOrEqual(6);
	});

	test(`${sentences} sentences from films' texts find their films`, async () => {
		const random = randomFrom(2);
		const withText = films.filter(
			({ extract = "" }) => sentencesOf(extract).length > 1,
		);
		type Found = [number, number];
		const found: Record<"search" | "hybrid", Found> = {
			search: [0, 0],
			hybrid: [0, 0],
		};
		for (let at = 0; at < sentences; at++) {
			const film = withText[Math.floor(random() * withText.length)] as Film;
			const [, ...later] = sentencesOf(film.extract ?? "");
			const query = later[Math.floor(random() * later.length)] as string;
			const common = { tableName: "resources", tenantId, limit: 10 } as const;
			const hits = {
				search: await db.service.vectorSearch({ ...common, queryText: query }),
				hybrid: await db.service.hybridSearch({ ...common, query }),
			};
			for (const kind of ["search", "hybrid"] as const) {
				const place = hits[kind].findIndex(({ name }) => name === keyOf(film));
				if (place === 0) found[kind][0]++;
				if (place >= 0) found[kind][1]++;
			}
		}
		const share = ([first, ten]: Found) =>
			`hit@1 ${((100 * first) / sentences).toFixed(1)} %, hit@10 ${((100 * ten) / sentences).toFixed(1)} %`;
		console.info(
			`${sentences} sentences among ${films.length} films: SEARCH ${share(found.search)}; hybrid ${share(found.hybrid)}`,
		);
		expect(found.search[0]).toBeGreaterThan(0.5 * sentences);
		expect(found.hybrid[0]).toBeGreaterThan(0.5 * sentences);
	}, 600_000);

	test("co-stars are those that a loop over the films finds, along the edges and against them", async () => {
		const films_ = new Map(films.map((film) => [keyOf(film), film.cast]));
		const played = new Map(
			people.map(({ name, graphEdges = [] }) => [
				name,
				graphEdges.map(({ dst }) => dst),
			]),
		);
		for (const tableName of ["resources", "users"] as const)
			await db.service.createIndexConcurrently({ tableName, indexType: "gin" });
		// As autovacuum would, a little later.
		await db.service.execute("ANALYZE resources; ANALYZE users");
		const random = randomFrom(5);
		const names = [...played.keys()];
		for (let turn = 0; turn < 20; turn++) {
			const from = names[Math.floor(random() * names.length)] as string;
			const own = new Set(played.get(from));
			for (const direction of ["out", "both"] as const) {
				const { nodes, isComplete } = await db.service.traverse({
					from: `users/${from}`,
					depth: 2,
					direction,
					limit: 10_000,
					tenantId,
				});
				expect(isComplete).toBe(true);
				const at = (depth: number) =>
					nodes
						.filter((node) => node.depth === depth)
						.map(({ entityKey }) => entityKey)
						.sort();
				expect(at(1)).toEqual([...own].sort());
				const coStars = new Set(
					[...own].flatMap((key) => films_.get(key) ?? []),
				);
				coStars.delete(from);
				expect(at(2)).toEqual([...coStars].sort());
			}
		}
	});

	test("a misspelt name and a sentence from an extract find theirs", async () => {
		const [person] = await db.service.fuzzySearch({
			query: "Samual L Jakson",
			tenantId,
			entityType: "users",
		});
		expect(person?.entityKey).toBe("Samuel L. Jackson");
		const [film] = await db.service.vectorSearch({
			tableName: "resources",
			queryText: "a theme park of cloned dinosaurs on an island",
			tenantId,
			// By now an index may be there, which may miss the nearest.
			mode: "exact",
		});
		expect(film?.name).toMatch(/^Jurassic/);
	});
});

function sentencesOf(text: string): string[] {
	return text
		.split(/(?<=[.!?]) +(?=[A-Z])/)
		.filter((sentence) => sentence.length >= 40);
}

/** One of the titles is a page's style sheet, and longer than a key may be. */
function keyOf({ title, year }: Film): string {
	return `${title.slice(0, 200)} (${year})`;
}

function toResource(film: Film): NewRow<typeof Resource> {
	return {
		name: keyOf(film),
		...(film.extract ? { content: film.extract } : {}),
		...(film.genres[0] === undefined ? {} : { category: film.genres[0] }),
		metadata: { year: film.year, genres: film.genres, href: film.href },
		graphEdges: film.cast.map((name) => ({ dst: name, rel_type: "stars" })),
	};
}

function peopleOf(films: readonly Film[]): NewRow<typeof User>[] {
	const edges = new Map<string, { dst: string; rel_type: string }[]>();
	for (const film of films)
		for (const name of film.cast) {
			const own = edges.get(name) ?? [];
			own.push({ dst: keyOf(film), rel_type: "starred_in" });
			edges.set(name, own);
		}
	return [...edges].map(([name, graphEdges]) => ({ name, graphEdges }));
}

import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { PostgresService, Resource, User } from "../../../src/index.ts";
import { createDatabase } from "../../support/engine.ts";
import { storedRows } from "../../support/stored-rows.ts";

// Films, people and their edges from an embedded database arrive in a database of
// this run's engine, row by row and bit by bit, without a text being embedded.

interface Film {
	readonly title: string;
	readonly year: number;
	readonly cast: readonly string[];
	readonly extract?: string;
}

const file = `${process.env.REM_TEST_DATA ?? ""}/movies-1980s.json`;
const models = [Resource, User] as const;

test.skipIf(!existsSync(file))(
	"films, people and edges of REM_TEST_DATA arrive as they were (skipped without REM_TEST_DATA)",
	async () => {
		const films: readonly Film[] = JSON.parse(readFileSync(file, "utf8"));
		const keyOf = ({ title, year }: Film) => `${title} (${year})`;
		const people = new Map<string, string[]>();
		for (const film of films)
			for (const name of film.cast)
				people.set(name, [...(people.get(name) ?? []), keyOf(film)]);
		const edges = (names: Iterable<string>, rel_type: string) =>
			[...new Set(names)].map((dst) => ({ dst, rel_type }));
		const options = { models, embedding: { provider: "local" } } as const;
		const from = await PostgresService.connect({
			connectionString: "memory:",
			...options,
		});
		await from.migrate();
		await from.batchUpsert({
			tableName: "resources",
			entities: films.map((film) => ({
				name: keyOf(film),
				...(film.extract ? { content: film.extract } : {}),
				metadata: { year: film.year },
				graphEdges: edges(film.cast, "stars"),
			})),
		});
		await from.batchUpsert({
			tableName: "users",
			entities: [...people].map(([name, films]) => ({
				name,
				graphEdges: edges(films, "starred_in"),
			})),
		});
		const database = await createDatabase();
		const to = await PostgresService.connect({
			connectionString: database.url,
			...options,
		});
		try {
			await to.migrate();
			const text: string[] = [];
			const write = (lines: string) => text.push(lines);
			const exported = await from.exportRows({
				vectors: true,
				deleted: true,
				write,
			});
			expect(exported.rows).toBeGreaterThan(5000);
			expect(await to.importRows({ text })).toMatchObject({
				inserted: exported.rows,
				vectors: exported.vectors,
				embeddingsGenerated: 0,
				embeddingsQueued: 0,
			});
			const expected = await storedRows(from);
			const arrived = await storedRows(to);
			for (const [name, lines] of Object.entries(expected))
				expect([name, arrived[name]]).toEqual([name, lines]);
		} finally {
			await to.close();
			await from.close();
			await database.drop();
		}
	},
);

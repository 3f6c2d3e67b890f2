import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { emptyDatabase, engines, rem } from "../../cli/run-rem.ts";

const data = process.env.REM_TEST_DATA;
if (data === undefined)
	console.warn(
		"\n*** THE TEST ON REAL DATA DOES NOT RUN: set REM_TEST_DATA to the folder that has movies-1990s.json\n",
	);

const load = [
	"load",
	join(data ?? "", "movies-1990s.json"),
	"--table=resources",
	"--map=name=title",
	"--map=content=extract",
	"--map=category=genres.0",
	"--map=metadata.year=year",
	"--map=metadata.genres=genres",
];

describe.skipIf(data === undefined).each(engines)(
	"2,849 films on the %s",
	(engine) => {
		let url: string;
		const run = (...args: string[]) =>
			rem([...args, "--url", url], { env: { EMBEDDING__PROVIDER: "local" } });

		beforeAll(async () => {
			url = await emptyDatabase(engine);
		});

		test("they load; remakes, films without a text and an impossible title are reported", async () => {
			const { code, stdout, stderr } = await run(...load);
			expect(code).toBe(0);
			expect(stdout).toContain(
				"2,819 inserted, 0 updated, 2,790 texts embedded, 2,819 names to look up",
			);
			expect(stdout).toContain("1 row has a name of over 255 characters: cut");
			expect(stdout).toContain("30 rows have the name of a later row");
			expect(stdout).toContain("30 rows have no text to embed");
			expect(stderr).toContain("left out, being no fields");
		});

		test("loaded again, nothing changes and nothing is embedded", async () => {
			const { stdout } = await run(...load, "--json");
			expect(JSON.parse(stdout)).toMatchObject({
				inserted: 0,
				unchanged: 2819,
				embeddings_generated: 0,
			});
		});

		test("films are found by name, by nearly their name and by what they are about", async () => {
			const lookup = await run("lookup", "the matrix", "--json");
			expect(JSON.parse(lookup.stdout)).toMatchObject([
				{ entity_key: "The Matrix", metadata: { year: 1999 } },
			]);
			const fuzzy = await run("fuzzy", "jurasic prak", "--limit=1", "--json");
			expect(JSON.parse(fuzzy.stdout)).toMatchObject([
				{ entity_key: "Jurassic Park" },
			]);
			const search = await run(
				"search",
				"dinosaurs on an island",
				"--table=resources",
				"--limit=10",
				"--json",
			);
			expect(
				JSON.parse(search.stdout).map(({ name }: { name: string }) => name),
			).toContain("Dinosaur Island");
		});
	},
);

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import {
	emptyDatabase,
	fewEngines,
	main,
	rem,
	remProcess,
	temporaryFolder,
} from "./run-rem.ts";

const models = temporaryFolder({
	"models.ts": `import * as z from "zod";
import { defineEntity } from "remdb";
export const Film = defineEntity("films", {
	title: z.string(),
	plot: z.string().optional().meta({ embed: true }),
	year: z.number().int().optional(),
	isSeen: z.boolean().default(false),
	genres: z.array(z.string()).default([]),
	data: z.record(z.string(), z.unknown()).optional(),
	seenAt: z.date().optional(),
	shelf_mark: z.string().optional(),
	sourceURI: z.string().optional(),
}, { entityKeyField: "title" });
export const Person = defineEntity("people", { name: z.string() }, { entityKeyField: "name", createEmbeddings: false });`,
});

describe.each(fewEngines)("on the %s database", (engine) => {
	let url = "";
	const run = (...args: readonly string[]) =>
		rem([...args, "--url", url, "--models", models], {
			env: { EMBEDDING__PROVIDER: "local" },
		});
	const json = async (...args: readonly string[]) => {
		const { code, stdout, stderr } = await run(...args, "--json");
		expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
		return JSON.parse(stdout);
	};
	const failed = async (...args: readonly string[]) => {
		const { code, stdout, stderr } = await run(...args, "--json");
		expect(stdout).toBe("");
		const { error } = JSON.parse(stderr.trim().split("\n").at(-1) ?? "");
		return { exit: code, ...error };
	};

	beforeAll(async () => {
		url = await emptyDatabase(engine);
		expect(await run("migrate")).toMatchObject({ code: 0 });
		const films = join(temporaryFolder(), "films.json");
		const rows = Array.from({ length: 12 }, (_, n) => ({
			title: `Film ${n}`,
			plot: `the story of ${n}`,
			...(n === 11 ? {} : { year: 1990 + n }),
		}));
		writeFileSync(films, JSON.stringify(rows));
		expect(await run("load", films, "--table", "films")).toMatchObject({
			code: 0,
		});
		const people = join(temporaryFolder(), "people.json");
		writeFileSync(people, '[{"name":"Film 3"},{"name":"Sarah Chen"}]');
		expect(await run("load", people, "-t", "people")).toMatchObject({
			code: 0,
		});
	});

	test("list pages through every row once, in order", async () => {
		const titles: string[] = [];
		let after: string | null = null;
		do {
			const page: { rows: { title: string }[]; next: string | null } =
				await json(
					"list",
					"films",
					"-n",
					"5",
					"-o",
					"year desc, title",
					...(after === null ? [] : ["--after", after]),
				);
			titles.push(...page.rows.map(({ title }) => title));
			after = page.next;
		} while (after !== null);
		expect(titles).toEqual(
			[11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0].map((n) => `Film ${n}`),
		);
	});

	test("list filters as a query does, and shows a table", async () => {
		const { rows, next } = await json(
			"list",
			"films",
			"--where",
			"year BETWEEN 1992 AND 1993 OR title = 'Film 11'",
			"-o",
			"year",
		);
		expect(rows.map((row: { title: string }) => row.title)).toEqual([
			"Film 2",
			"Film 3",
			"Film 11",
		]);
		expect(next).toBeNull();
		const { stdout, stderr } = await run("list", "films", "-n", "2");
		expect(stdout).toMatch(/^TITLE +PLOT +YEAR.*\nFilm 0 .*\nFilm 1 .*\n$/);
		expect(stderr).toContain("--after");
	});

	test("list orders by each field, under its own name and its column's", async () => {
		for (const order of [
			"shelf_mark desc",
			"source_uri",
			"sourceURI DESC, seen_at",
			"is_seen, seenAt desc,shelf_mark",
		])
			expect(
				(await json("list", "films", "-o", order, "-n", "1")).rows,
			).toHaveLength(1);
	});

	test("search compares times of a JSON filter, and takes names of columns", async () => {
		const found = async (where: object, ...options: string[]) => {
			const hits: { title: string }[] = await json(
				"search",
				"a film",
				"--where",
				JSON.stringify(where),
				...options,
			);
			return hits.map(({ title }) => title).toSorted();
		};
		const all = await found({}, "-t", "films");
		expect(all.length).toBeGreaterThan(0);
		const past = { gte: "2020-01-01" };
		for (const table of [["-t", "films"], []])
			for (const mode of [["--hybrid"], []]) {
				const options = [...table, ...mode];
				expect(await found({ createdAt: past }, ...options)).toEqual(all);
				expect(await found({ created_at: past }, ...options)).toEqual(all);
				expect(
					await found({ created_at: { lt: "2020-01-01" } }, ...options),
				).toEqual([]);
				expect(
					await found({ NOT: [{ created_at: past }] }, ...options),
				).toEqual([]);
				expect(
					await found({ OR: [{ seen_at: "2024-05-01" }] }, ...options),
				).toEqual([]);
			}
		const none = ["search", "a film", "--where", '{"year":1}'];
		expect((await run(...none)).stderr).toContain("fulfils the filter");
		expect((await run("search", "a film", "-T", "none")).stderr).not.toContain(
			"filter",
		);
		for (const [where, code] of [
			[{ createdAt: "yesterday" }, "FILTER_REFUSED"],
			[{ createdAt: past, created_at: { lt: "2020-01-01" } }, "UNKNOWN_FIELD"],
		] as const)
			expect(
				await failed(
					"search",
					"a film",
					"-t",
					"films",
					"--where",
					JSON.stringify(where),
				),
			).toMatchObject({ exit: 1, code });
	});

	test("recall reads a time without a zone as UTC, wherever it runs", async () => {
		const hour = 3_600_000;
		const found = async (zone: string, since: string) => {
			const args = ["recall", "Film 1", "--since", since, "--json"];
			const { code, stdout } = await remProcess(
				[...args, "--url", url, "--models", models],
				{ env: { EMBEDDING__PROVIDER: "local", TZ: zone } },
			);
			return code === 0 ? JSON.parse(stdout).items.length > 0 : code;
		};
		const at = (ms: number) =>
			new Date(Date.now() + ms).toISOString().slice(0, 16);
		expect(await found("America/New_York", at(-hour))).toBe(true);
		expect(await found("Asia/Tokyo", at(hour))).toBe(false);
		expect(await found("Asia/Tokyo", "March 3")).toBe(2);
		expect(await found("Asia/Tokyo", "2026-02-31")).toBe(2);
	});

	test("list of a tenant without rows, and with a bad condition, order or page", async () => {
		expect((await json("list", "films", "-T", "nobody")).rows).toEqual([]);
		for (const [options, code] of [
			[["--where", "year >"], "QUERY_SYNTAX"],
			[["--where", "yeer > 1"], "UNKNOWN_FIELD"],
			[["--where", "year > 1 LIMIT 1"], "FILTER_REFUSED"],
			[["--where", "TRUE; DROP TABLE films"], "FILTER_REFUSED"],
			[["--where", "EXISTS (SELECT 1 FROM people)"], "FILTER_REFUSED"],
			[["--order-by", "nope"], "UNKNOWN_FIELD"],
			[["--order-by", "data"], "FILTER_REFUSED"],
			[["--after", "bm9uc2Vuc2U"], "VALIDATION"],
			[["--after", Buffer.from('["x"]').toString("base64url")], "VALIDATION"],
		] as const)
			expect(await failed("list", "films", ...options)).toMatchObject({
				exit: 1,
				code,
			});
	});

	test("get shows whole rows, by key, table/key and id", async () => {
		const [film, ...more] = await json("get", "films/film-1");
		expect(more).toEqual([]);
		expect(film).toMatchObject({
			entity_type: "films",
			title: "Film 1",
			year: 1991,
			is_seen: false,
			genres: [],
		});
		expect(await json("get", film.id)).toEqual([film]);
		expect(await json("get", film.id, "-t", "films")).toEqual([film]);
		expect(await json("get", "FILM_1", "sarah-chen", "nothing")).toHaveLength(
			2,
		);
		expect(await json("get", "film-3")).toHaveLength(2);
		expect(await json("get", "film-3", "-t", "people")).toHaveLength(1);
		const { stdout } = await run("get", "film-1");
		expect(stdout).toMatch(/^films\/Film 1\n(?: {2}\w+ +.+\n)+$/);
		expect(await failed("get", "x", "-t", "nope")).toMatchObject({
			code: "UNKNOWN_ENTITY",
		});
	});

	test("set changes the named fields, by their types", async () => {
		const before = (await json("get", "films/Film 4"))[0];
		const after = await json(
			"set",
			"film-4",
			"year=2001",
			"is_seen=true",
			'genres=["a","b c"]',
			'data={"n": [1]}',
			"seenAt=2026-01-02T03:04:05Z",
			"plot=a = b",
		);
		expect(after).toEqual({
			...before,
			year: 2001,
			is_seen: true,
			genres: ["a", "b c"],
			data: { n: [1] },
			seen_at: "2026-01-02T03:04:05.000Z",
			plot: "a = b",
			updated_at: expect.any(String),
		});
		expect(
			await json("set", "film-4", "year=null", 'plot="null"', "genres=a,b"),
		).toMatchObject({ year: null, plot: "null", genres: ["a", "b"] });
		expect(await json("set", before.id, "title=Film four")).toMatchObject({
			id: before.id,
		});
		expect(await json("get", "film-four")).toHaveLength(1);
		expect(await json("set", "film-four", "title=Film 4")).toBeDefined();
	});

	const refused: readonly (readonly [readonly string[], string, number])[] = [
		[["film-5", "yeer=1"], "UNKNOWN_FIELD", 1],
		[["film-5", "year=soon"], "VALIDATION", 1],
		[["film-5", "year="], "VALIDATION", 1],
		[["film-5", "isSeen=perhaps"], "VALIDATION", 1],
		[["film-5", "data={"], "VALIDATION", 1],
		[["film-5", "data=text"], "VALIDATION", 1],
		[["film-5", "title=null"], "VALIDATION", 1],
		[["film-5", "title=Film 6"], "DUPLICATE_KEY", 1],
		[["film-5", "id=00000000-0000-0000-0000-000000000001"], "VALIDATION", 1],
		[["film-5", "tenant_id=other"], "TENANT_MISMATCH", 1],
		[["nothing-at-all", "year=1"], "VALIDATION", 1],
		[["film-3", "year=1"], "VALIDATION", 1],
		[["film-5", "year"], "USAGE", 2],
		[["film-5", "=1"], "USAGE", 2],
		[["film-5", "year=1", "year=2"], "USAGE", 2],
	];
	test.each(refused)(
		"set %j is refused, and nothing changes",
		async (args, code, exit) => {
			const before = await json("get", "films/film-5");
			expect(await failed("set", ...args)).toMatchObject({ exit, code });
			expect(await json("get", "films/film-5")).toEqual(before);
		},
	);

	test("delete asks, and without a terminal and --yes is wrong usage", async () => {
		const { exit, message, hint } = await failed("delete", "film-7");
		expect(exit).toBe(2);
		expect(message).toContain("there is no terminal");
		expect(hint).toContain("--yes");
		expect(await json("get", "film-7")).toHaveLength(1);
	});

	test("delete removes all rows that are named, or none", async () => {
		expect(
			await failed("delete", "film-7", "nothing-at-all", "-y"),
		).toMatchObject({ exit: 1, code: "VALIDATION" });
		expect(await json("get", "film-7")).toHaveLength(1);
		expect(await failed("delete", "film-3", "-y")).toMatchObject({ exit: 1 });
		const { deleted } = await json("delete", "film-7", "films/film-8", "-y");
		expect(deleted.map(({ title }: { title: string }) => title)).toEqual([
			"Film 7",
			"Film 8",
		]);
		expect(await json("get", "film-7", "film-8")).toEqual([]);
	});

	test("another tenant's and another user's rows are not reached", async () => {
		expect(await json("get", "film-9", "-T", "other")).toEqual([]);
		expect(
			await failed("set", "film-9", "year=1", "-T", "other"),
		).toMatchObject({
			code: "VALIDATION",
		});
		expect(await failed("delete", "film-9", "-T", "other", "-y")).toMatchObject(
			{
				code: "VALIDATION",
			},
		);
		expect(await json("get", "film-9", "-u", "someone")).toHaveLength(1);
	});
});

describe("completion", () => {
	const words = async (...line: readonly string[]) => {
		const { code, stdout } = await rem(["completion", "words", "--", ...line]);
		expect(code).toBe(0);
		return stdout.trim().split("\n");
	};

	test("commands, subcommands, options, their values, and tables", async () => {
		expect(await words("li")).toEqual(["list"]);
		expect(await words("kv", "")).toEqual(["status", "rebuild", "verify"]);
		expect(await words("list", "--or")).toEqual(["--order-by"]);
		expect(await words("load", "--format", "js")).toEqual(["json", "jsonl"]);
		expect(await words("list", "res")).toEqual(["resources"]);
		expect(await words("list", "--models", models, "f")).toEqual(["films"]);
		expect(await words("search", "x", "--table", "mess")).toEqual(["messages"]);
		expect(await words("completion", "")).toEqual(["bash", "zsh", "fish"]);
	});

	test("bash completes a command line with the script", async () => {
		const { stdout: script } = await rem(["completion", "bash"]);
		const shell = `rem() { "${process.execPath}" "${main}" "$@"; }
${script}
COMP_WORDS=(rem list resou); COMP_CWORD=2; _rem_completion; printf '%s\\n' "\${COMPREPLY[@]}"
COMP_WORDS=(rem em); COMP_CWORD=1; _rem_completion; printf '%s\\n' "\${COMPREPLY[@]}"
complete -p rem remdb`;
		const printed = execFileSync("bash", ["-c", shell], { encoding: "utf8" });
		expect(printed.trim().split("\n")).toEqual([
			"resources",
			"embeddings",
			"complete -o default -F _rem_completion rem",
			"complete -o default -F _rem_completion remdb",
		]);
	});

	test("an unknown shell is wrong usage", async () => {
		expect(await rem(["completion", "tcsh"])).toMatchObject({ code: 2 });
	});
});

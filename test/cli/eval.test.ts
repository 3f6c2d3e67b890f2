import { createServer } from "node:http";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { emptyDatabase, fewEngines, rem, temporaryFolder } from "./run-rem.ts";

const samples = resolve("samples/retrieval");
const file = join(samples, "queries.jsonl");
const env = { EMBEDDING__PROVIDER: "local" };

const folder = temporaryFolder({
	"queries.json": `[
  { "query": "who leads the sensor group?", "relevant": ["person-ada-lindqvist", "nobody"] },

  { "query": "calibrate a probe",
    "relevant": { "howto-calibrate-probe": 3, "person-ada-lindqvist": 1 } },
  { "query": "no row", "relevant": ["nothing"] }
]`,
	"queries.csv": `query,relevant,gain
who leads the sensor group?,person-ada-lindqvist,
calibrate a probe,howto-calibrate-probe,3
calibrate a probe,person-ada-lindqvist,1
`,
});

describe.each(fewEngines)("on %s", (engine) => {
	let url: string;
	const run = (...args: string[]) =>
		rem([...args, "--url", url, "--tenant", "acme"], { env });

	beforeAll(async () => {
		url = await emptyDatabase(engine);
		await run("migrate");
		const load = await run(
			...["load", join(samples, "notes.jsonl"), "--table", "resources"],
		);
		expect(load).toMatchObject({ code: 0 });
	});

	test("prints a line for each mode", async () => {
		const { code, stdout, stderr } = await run("eval", file);
		// On a busy machine it reports its progress.
		const messages = stderr.replace(/^eval: \d+ %.*\n/gm, "");
		expect({ code, messages }).toEqual({ code: 0, messages: "" });
		expect(stdout).toMatch(/^MODE +NDCG@10 +RECALL@10 +MRR@10 +P50 +P95\n/);
		for (const mode of ["vector", "text", "hybrid", "recall"])
			expect(stdout).toMatch(
				new RegExp(
					`^${mode} +[01]\\.\\d{3} +[01]\\.\\d{3} +[01]\\.\\d{3} .*ms`,
					"m",
				),
			);
		expect(stdout).toMatch(/39 queries of "resources"\n$/);
	});

	test("names keys of no row, and prints JSON", async () => {
		const queries = join(folder, "queries.json");
		const text = await run("eval", queries, "--modes", "hybrid", "--k", "5");
		expect(text.stdout).toMatch(/NDCG@5/);
		expect(text.stdout).toMatch(/left out: 1 query without a relevant row/);
		expect(text.stdout).toMatch(
			/2 keys are of no row: "nobody", "nothing" \(check --table/,
		);
		const { code, stdout } = await run(
			...["eval", queries, "--modes", "hybrid", "--k", "5", "--json"],
		);
		expect(code).toBe(0);
		expect(JSON.parse(stdout)).toMatchObject({
			table_name: "resources",
			k: 5,
			queries: 2,
			excluded_queries: 1,
			unknown_keys: ["nobody", "nothing"],
			unknown_key_count: 2,
			below: [],
			modes: {
				hybrid: {
					ndcg: expect.any(Number),
					recall: expect.any(Number),
					mrr: expect.any(Number),
					p50_ms: expect.any(Number),
					p95_ms: expect.any(Number),
				},
			},
		});
	});

	test("reads the same from CSV, and from standard input's file by --format", async () => {
		const args = ["--modes", "vector", "--json"];
		const figures = async (...from: string[]) => {
			const { stdout } = await run("eval", ...from, ...args);
			const { ndcg, recall, mrr } = JSON.parse(stdout).modes.vector;
			return { ndcg, recall, mrr };
		};
		const other = temporaryFolder({
			"queries.log": `{"query":"who leads the sensor group?","relevant":["person-ada-lindqvist"]}
{"query":"calibrate a probe","relevant":{"howto-calibrate-probe":3,"person-ada-lindqvist":1}}`,
		});
		expect(await figures(join(folder, "queries.csv"))).toEqual(
			await figures(join(other, "queries.log"), "--format", "jsonl"),
		);
	});

	test("below the minimum is 3, with the modes that are", async () => {
		const below = await run(
			...["eval", file, "--modes", "vector,hybrid", "--min-ndcg", "0.99"],
		);
		expect(below).toMatchObject({ code: 3, stderr: "" });
		expect(below.stdout).toMatch(/vector: nDCG@10 0\.\d{4} is below 0\.99\n/);
		expect(below.stdout).toMatch(/hybrid: nDCG@10 0\.\d{4} is below 0\.99\n/);
		const json = await run(
			...["eval", file, "--modes", "hybrid", "--min-ndcg", "0.99", "--json"],
		);
		expect(json).toMatchObject({ code: 3, stderr: "" });
		expect(JSON.parse(json.stdout).below).toEqual(["hybrid"]);
		const above = await run("eval", file, "--min-ndcg", "0.1");
		expect(above.code).toBe(0);
	});

	test("another tenant has none of the rows", async () => {
		const { code, stdout } = await rem(
			["eval", file, "--url", url, "--tenant", "other", "--json"],
			{ env },
		);
		expect(code).toBe(0);
		expect(JSON.parse(stdout)).toMatchObject({
			queries: 0,
			excluded_queries: 39,
		});
	});
});

const good = '{"query":"a","relevant":["b"]}';

test.each<[name: string, text: string, message: RegExp]>([
	["empty.jsonl", "", /empty\.jsonl: has no queries/],
	["empty.json", "[]", /empty\.json: has no queries/],
	["nothing.json", "", /nothing\.json: is empty/],
	["empty.csv", "query,relevant\n", /empty\.csv: has no queries/],
	["half.jsonl", `${good}\n{"query":`, /half\.jsonl, line 2: is not valid/],
	["half.json", `[${good},\n{"query":]`, /half\.json, line 2: is not valid/],
	[
		"shape.jsonl",
		`${good}\n\n{"query":"b","relevant":"c"}`,
		/shape\.jsonl, line 3: relevant must be an array of keys/,
	],
	[
		"shape.json",
		`[\n  ${good},\n\n  {"query":"b"}\n]`,
		/shape\.json, line 4: relevant must be an array of keys/,
	],
	["text.json", `[\n"a"]`, /text\.json, line 2: must be an object/],
	[
		"misspelt.jsonl",
		'{"query":"a","relevent":["b"]}',
		/misspelt\.jsonl, line 1: has an unknown option "relevent", did you mean "relevant"/,
	],
	[
		"twice.jsonl",
		`${good}\n{"query":"x","relevant":[]}\n${good}`,
		/twice\.jsonl, line 3: repeats the query of line 1/,
	],
	[
		"key-twice.jsonl",
		'{"query":"a","relevant":["b","b"]}',
		/key-twice\.jsonl, line 1: relevant\[1\] is there twice/,
	],
	[
		"twice.csv",
		"query,relevant\na,b\na,c\na,b\n",
		/twice\.csv, line 4: repeats the query and the key of line 2/,
	],
	[
		"gain.csv",
		"query,relevant,gain\na,b,1\na,c,much\n",
		/gain\.csv, line 3: relevant\[0\] must be worth a number/,
	],
	[
		"column.csv",
		"query,relevent\na,b\n",
		/column\.csv, line 2: has an unknown column "relevent": did you mean "relevant"/,
	],
	["cells.csv", "query,relevant\na,b,c\n", /cells\.csv, line 2: has 3 cells/],
	["keyless.csv", "query,relevant\na,\n", /line 2: has no relevant key/],
	["queries.yaml", "- query: a", /queries\.yaml: is yaml/],
	["queries.txt", good, /queries\.txt: has a format that is not known/],
	["latin.jsonl", "\ufffe", /is not valid JSON|begins|UTF/],
])(
	"%s is an error with its place and a remedy",
	async (name, text, message) => {
		const given = temporaryFolder({ [name]: text });
		const { code, stdout, stderr } = await rem(
			["eval", join(given, name), "--url", "memory:", "--json"],
			{ env },
		);
		expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
		const { error } = JSON.parse(stderr);
		expect(error).toMatchObject({
			code: "VALIDATION",
			message: expect.stringMatching(message),
			hint: expect.stringMatching(/./),
		});
		expect(error.hint).not.toMatch(/written/);
	},
);

test("the longest query is answered, and a longer one refused with its line", async () => {
	const of = async (length: number) => {
		const query = "gauge 水位 ".repeat(10_000).slice(0, length);
		const given = temporaryFolder({
			"long.jsonl": JSON.stringify({ query, relevant: ["b"] }),
		});
		const name = join(given, "long.jsonl");
		return rem(["eval", name, "--url", "memory:"], { env });
	};
	expect(await of(65_536)).toMatchObject({ code: 0 });
	const { code, stderr } = await of(65_537);
	expect(code).toBe(1);
	expect(stderr).toMatch(
		/long\.jsonl, line 1: query has 65537 characters, at most 65536/,
	);
});

test.each<[args: string[], message: RegExp]>([
	[["--modes", "vector,hybird"], /"hybird" is not a mode: did you mean "hyb/],
	[["--modes", ""], /"" is not a mode: known: hybrid, recall, text, vector/],
	[["--k", "0"], /whole number from 1 to 1000/],
	[["--k", "1001"], /whole number from 1 to 1000/],
	[["--min-ndcg", "1.5"], /number from 0 to 1/],
	[["--format", "markdown"], /Allowed choices are json, jsonl, csv/],
])("%s is wrong usage", async (args, message) => {
	const { code, stdout, stderr } = await rem(["eval", file, ...args], { env });
	expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
	expect(stderr).toMatch(message);
});

test("Ctrl-C stops it", async () => {
	// By the provider's second request the evaluation has begun.
	let asked = 0;
	let onSecond = () => {};
	const server = createServer((request, response) => {
		request.resume();
		request.on("end", () => {
			if (++asked === 2) onSecond();
			const vector = Array.from({ length: 8 }, (_, at) => at + asked);
			const data = [{ index: 0, embedding: vector }];
			response.setHeader("content-type", "application/json");
			response.end(JSON.stringify({ data, usage: {} }));
		});
	});
	await new Promise<void>((listening) => server.listen(0, listening));
	const address = server.address();
	const port = typeof address === "object" ? address?.port : undefined;
	try {
		const url = await emptyDatabase("embedded");
		const provider = {
			EMBEDDING__PROVIDER: "openai",
			EMBEDDING__DIMENSIONS: "8",
			EMBEDDING__BASE_URL: `http://127.0.0.1:${port}/v1`,
			OPENAI_API_KEY: "sk-test",
		};
		const queries = Array.from({ length: 2_000 }, (_, at) =>
			JSON.stringify({ query: `query ${at}`, relevant: ["a"] }),
		);
		const given = temporaryFolder({
			"rows.jsonl": '{"name":"a","content":"b"}',
			"queries.jsonl": queries.join("\n"),
		});
		const load = await rem(
			["load", join(given, "rows.jsonl"), "--table", "resources", "--url", url],
			{ env: provider },
		);
		expect(load).toMatchObject({ code: 0 });
		const { code, stdout, stderr } = await rem(
			["eval", join(given, "queries.jsonl"), "--url", url],
			{
				env: provider,
				onStart: (child) => {
					onSecond = () => child.kill("SIGINT");
				},
			},
		);
		expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
		expect(stderr).toMatch(/the evaluation was stopped \[CANCELLED\]/);
	} finally {
		server.close();
	}
});

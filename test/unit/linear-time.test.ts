import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { fieldValue } from "../../src/cli/load/field-value.ts";
import type { InputFile } from "../../src/cli/load/input-file.ts";
import { jsonErrorOffset } from "../../src/cli/load/json-position.ts";
import {
	parseMap,
	readSource,
	sourceNames,
} from "../../src/cli/load/mapping.ts";
import { readCsv } from "../../src/cli/load/read-csv.ts";
import { readJsonLines } from "../../src/cli/load/read-jsonl.ts";
import { parseMarkdown } from "../../src/cli/load/read-markdown.ts";
import { jsonText } from "../../src/cli/output/json-text.ts";
import { oneLine, plainText } from "../../src/cli/output/plain-text.ts";
import { tableLines } from "../../src/cli/output/table.ts";
import { withoutSlashes } from "../../src/embeddings/http.ts";
import { localProvider } from "../../src/embeddings/local.ts";
import { retryAfterMs } from "../../src/embeddings/retry.ts";
import { splitText } from "../../src/embeddings/split-text.ts";
import { parseOrderBy } from "../../src/filters/order-by.ts";
import { whereSql } from "../../src/filters/where.ts";
import { toMigrationFile } from "../../src/migrate/migration-file.ts";
import { splitStatements } from "../../src/migrate/split-statements.ts";
import { defineEntity } from "../../src/models/entity.ts";
import { isExactNumber } from "../../src/models/json-number.ts";
import { parseJson, writeJson } from "../../src/models/json-text.ts";
import { isNameless } from "../../src/models/key-characters.ts";
import { toColumn } from "../../src/models/names.ts";
import { Registry } from "../../src/models/registry.ts";
import { validateRows } from "../../src/models/validate.ts";
import { parseQuery } from "../../src/query/dialect/parse-query.ts";
import {
	namesOf,
	needsGrammar,
	planQuery,
} from "../../src/query/dialect/plan-query.ts";
import { parseTraverseOrder } from "../../src/query/graph/traverse-order.ts";
import { loadSqlGrammar } from "../../src/sql-grammar.ts";
import { suggest } from "../../src/util/suggest.ts";

const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		content: z.string().optional(),
		year: z.int().optional(),
		ratio: z.number().optional(),
		isDone: z.boolean().optional(),
		at: z.date().optional(),
		big: z.bigint().optional(),
		numbers: z.array(z.int()).optional(),
	},
	{ entityKeyField: "name" },
);
const registry = new Registry("public", [Note]);
const table = registry.get("notes");
const grammar = await loadSqlGrammar();

/** One of each kind of character, and of words that open something. */
const fewPieces = [
	" ",
	"\n",
	"a",
	"1",
	"\u0301\u0316",
	'"',
	"(",
	",",
	"a ",
	"AND ",
];

/** Pieces whose repetition an expression or a loop may read again and again. */
const morePieces = [
	"é",
	"🙂",
	"'",
	'\\"',
	"\\\\",
	"[",
	"{",
	"}",
	";",
	".",
	"-",
	"/*",
	"$",
	"=",
	"1,",
	"1.",
	"a_",
	"' ",
	'"a" ',
	"'[",
	"{a",
	"\n ",
	"-- rem: ",
	"+-",
	"/*+",
	"/*/ ",
	"AND ",
	"IN ",
	"LIMIT ",
	'MIN"a"',
	'{"a":',
	"1 day ",
	"\r\n",
	"\t",
	"\u00a0",
	"A",
	"_",
	"e\u0301",
	"中",
	"ก",
	"👩\u200d",
	"🇩",
	"\u200d",
	"\ufdfa",
	"''",
	'""',
	"\\",
	"()",
	"[]",
	"]",
	"{}",
	"..",
	":",
	"::",
	"--",
	"/",
	"*/",
	"%",
	"|",
	"<",
	"#",
	"&",
	"@",
	" a",
	"1 ",
	".1",
	"1e",
	"-1",
	"a,",
	"a.",
	"a-",
	"a b",
	'" ',
	"'a'",
	'"a"',
	"'[1]",
	"{a}",
	"a\n",
	" \n",
	"\n\n",
	"--\n",
	"---\n",
	"OR ",
	"NOT ",
	"LIMIT 1 ",
	"ORDER BY ",
	"MIN ",
	"FIELD ",
	"WITH ",
	"DIRECTION ",
	"null,",
	"true",
	"[1,",
	'"a":1,',
	"E'",
	"B'1'",
	"U&'",
	"ARRAY[",
	"CASE ",
	"a.b",
];
/** All of them in `npm run proofs`. */
const pieces =
	process.env.REM_TEST_LINEAR === "all"
		? [...fewPieces, ...morePieces]
		: fewPieces;

/** Each verb with a place for the text in every part of it. */
const queries = [
	"§",
	'§LOOKUP "a"',
	'EXPLAIN§LOOKUP "a"',
	"EXPLAIN §",
	"LOOKUP§",
	"LOOKUP §",
	"LOOKUP §x",
	'LOOKUP§"a"',
	'LOOKUP "a"§',
	'LOOKUP "a"§x',
	'LOOKUP "§"',
	"LOOKUP '§'",
	'LOOKUP "§',
	'LOOKUP ["a"§',
	'LOOKUP ["a",§"b"]',
	'LOOKUP ["§"]',
	'LOOKUP "a" IN §',
	'LOOKUP "a" IN notes§x',
	'LOOKUP "a"§IN notes',
	"LOOKUP a § IN notes",
	"FUZZY §",
	'FUZZY "§" IN notes',
	'FUZZY LOOKUP "§"',
	'FUZZY "a"§THRESHOLD 0.3',
	'FUZZY "a" THRESHOLD §',
	'FUZZY "a" THRESHOLD §x',
	'FUZZY "a" LIMIT §',
	'FUZZY "a" LIMIT §x',
	"FUZZY a §THRESHOLD 0.3",
	"SEARCH §",
	'SEARCH "§"',
	'SEARCH notes "§"',
	'SEARCH notes§"a"',
	'SEARCH "a" IN §',
	'SEARCH "a" FIELD §',
	'SEARCH "a" MIN §',
	'SEARCH "a" MIN §x',
	"SEARCH a MIN § b",
	'SEARCH "a" LIMIT §',
	'SEARCH "a" WHERE §',
	"SEARCH \"a\" WHERE name = '§'",
	"SEARCH \"a\" WHERE name = 'a'§LIMIT 5",
	'SEARCH "a" WHERE "§"',
	"SEARCH \"a\" WHERE name§= 'a'",
	"TRAVERSE §",
	'TRAVERSE "§" WITH LOOKUP "a"',
	'TRAVERSE a,§ WITH LOOKUP "a"',
	"TRAVERSE WITH LOOKUP §",
	'TRAVERSE WITH LOOKUP "§" DEPTH 2',
	'TRAVERSE WITH LOOKUP "a" DEPTH §',
	'TRAVERSE WITH LOOKUP "a" DIRECTION §',
	'TRAVERSE WITH LOOKUP "a" ORDER BY §',
	'TRAVERSE WITH LOOKUP "a" LIMIT §',
	'TRAVERSE "a" OUTBOUND TYPE §',
	'TRAVERSE§WITH LOOKUP "a"',
	"SQL §",
	"SQL§notes",
	"SQL notes§WHERE name = 'a'",
	"SQL notes WHERE §",
	"SQL notes WHERE §x",
	"SQL notes WHERE (§)",
	"SQL notes WHERE name = '§'",
	"SQL notes WHERE name = E'§'",
	"SQL notes WHERE name LIKE '§'",
	"SQL notes WHERE name ILIKE '%§x'",
	"SQL notes WHERE name IN ('a', '§')",
	"SQL notes WHERE name = 'a' §",
	"SQL notes WHERE name = 'a'§x",
	'SQL notes WHERE "§" = 1',
	"SQL notes WHERE § = 'a'",
	"SQL notes WHERE year > §",
	"SQL notes WHERE year > '§'",
	"SQL notes WHERE ratio < §",
	"SQL notes WHERE ratio < '§'",
	"SQL notes WHERE ratio < '1§x'",
	"SQL notes WHERE big = '§'",
	"SQL notes WHERE is_done = '§'",
	"SQL notes WHERE id = '§'",
	"SQL notes WHERE at > '§'",
	"SQL notes WHERE at > '2024-01-01 12:00§x'",
	"SQL notes WHERE at > now() - interval '§'",
	"SQL notes WHERE at > now() - interval '1 day§x'",
	"SQL notes WHERE tags @> '§'",
	"SQL notes WHERE tags @> '{§}'",
	"SQL notes WHERE tags @> '{a§\"x\"}'",
	'SQL notes WHERE tags @> \'{"a"§"x"}\'',
	"SQL notes WHERE tags @> '{§\"x}'",
	"SQL notes WHERE tags && ARRAY['§']",
	"SQL notes WHERE numbers @> '{§}'",
	"SQL notes WHERE name = ANY ('{§}')",
	"SQL notes WHERE metadata @> '§'",
	'SQL notes WHERE metadata @> \'{"a": "§"}\'',
	"SQL notes WHERE metadata->>'§' = 'a'",
	"SQL notes WHERE metadata#>>'{§}' = 'a'",
	"SQL notes WHERE (metadata->>'n')::§ > 1",
	"SQL notes WHERE lower(§) = 'a'",
	"SQL notes WHERE §(name) = 'a'",
	"SQL notes ORDER BY §",
	"SQL notes ORDER BY name§x",
	"SQL notes ORDER BY name DESC§LIMIT 5",
	"SQL notes LIMIT §",
	"SQL notes LIMIT 5§",
	"SQL notes OFFSET §x",
];

function plan(text: string): unknown {
	const { query } = parseQuery(text, namesOf(registry));
	return planQuery(query, registry, needsGrammar(query) ? grammar : undefined);
}

const folder = mkdtempSync(join(tmpdir(), "rem-linear-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, "file");
const drained = async (
	rows: (file: InputFile) => AsyncIterable<unknown>,
	text: string,
) => {
	writeFileSync(file, text);
	const input: InputFile = { name: file, path: file, format: "csv" };
	for await (const _ of rows(input));
};

const local = (model: string, dimensions: number) => {
	const provider = localProvider({ model, dimensions });
	return (text: string) => provider.embed([text], { purpose: "document" });
};
const scope = { defaultTenant: "t" };
const cell = (name: string) => (text: string) =>
	fieldValue(text, {
		entity: Note,
		field: Note.fieldsByName.get(name) as never,
		isUntyped: true,
	});

/** Whatever else reads a text of a user, a file, a model or a provider. */
const readers: Record<string, (text: string) => unknown> = {
	"local embeddings of lexical-v1": local("lexical-v1", 512),
	"local embeddings of semantic-v1": local("semantic-v1", 612),
	"passages of 128 tokens": (text) => splitText(text, 128),
	"passages of 1024 tokens": (text) => splitText(text, 1024),
	"validation of texts": (text) =>
		validateRows(Note, [{ name: text, content: text }], scope),
	"validation of JSON": (text) =>
		validateRows(Note, [{ name: "a", metadata: { [text]: [text] } }], scope),
	"validation of edges": (text) =>
		validateRows(
			Note,
			[{ name: "a", graphEdges: [{ dst: text, rel_type: text }] }],
			scope,
		),
	"unknown fields": (text) =>
		validateRows(Note, [{ name: "a", [text]: 1 }], scope),
	"filters on text": (text) =>
		whereSql(
			table,
			{ name: { like: text, in: [text] }, tags: { contains: [text] } },
			"r",
		),
	"filters on JSON": (text) =>
		whereSql(table, { metadata: { path: [text], eq: text } }, "r"),
	"unknown fields of filters": (text) => whereSql(table, { [text]: text }, "r"),
	orderBy: (text) => parseOrderBy(Note, text as never),
	"order of TRAVERSE": (text) => parseTraverseOrder(text as never),
	suggestions: (text) => suggest(text, ["name", "content", "n".repeat(150)]),
	"names of columns": toColumn,
	"JSON read": (text) => parseJson(text),
	"JSON with numbers": (text) =>
		parseJson(`[1e400, "${text.replace(/["\\\p{Cc}]/gu, "x")}"]`),
	"JSON written": (text) => writeJson({ text }),
	"numbers of JSON": isExactNumber,
	"place of an error in JSON": jsonErrorOffset,
	"JSON lines": (text) => drained(readJsonLines, text),
	"CSV below a header": (text) => drained(readCsv, `name,content\na,${text}`),
	"front matter": (text) => parseMarkdown("a.md", `---\n${text}`),
	"text behind front matter": (text) =>
		parseMarkdown("a.md", `---\na: 1\n---\n${text}`),
	"cells of numbers": cell("ratio"),
	"cells of whole numbers": cell("year"),
	"cells of bigints": cell("big"),
	"cells of dates": cell("at"),
	"cells of lists": cell("numbers"),
	"--map": (text) => parseMap(`name=${text}`),
	"names in templates": sourceNames,
	templates: (text) => readSource({ a: text }, `{a}${text}`),
	"tables in a terminal": (text) =>
		tableLines([{ text }], [{ title: "T", value: ({ text }) => text }], 80),
	"lines in a terminal": (text) => oneLine(plainText(text)),
	"JSON in a terminal": (text) => jsonText({ text }, 2),
	"migration files": (text) => toMigrationFile("1.sql", `-- rem: ${text}`),
	"migration comments": (text) => toMigrationFile("1.sql", `--${text}x`),
	"migration statements": (text) => splitStatements("1.sql", text),
	"operators of migration statements": (text) =>
		splitStatements("1.sql", `SELECT 1 @${text}`),
	"comments of migration statements": (text) =>
		splitStatements("1.sql", `/*${text}`),
	"names of entities": isNameless,
	"Retry-After": (text) => retryAfterMs(() => text),
	"addresses of providers": (text) => withoutSlashes(`${text}x`),
};

/**
 * Milliseconds of processor time that it takes, which other programs do not
 * lengthen, the minimum of several runs; an error is an answer too.
 */
async function msOf(
	read: (text: string) => unknown,
	text: string,
	runs: number,
) {
	let min = Number.POSITIVE_INFINITY;
	for (let run = 0; run < runs; run++) {
		const started = process.cpuUsage();
		try {
			await read(text);
		} catch {
			// Refused, in its time.
		}
		const { user, system } = process.cpuUsage(started);
		min = Math.min(min, (user + system) / 1000);
	}
	return min;
}

const bytes = 65_536;
/** Below it, noise decides. The square of 64 KiB takes seconds. */
const floorMs = 200;

/** Doubling the text doubles the time. Three times is allowed, where the square takes four. */
async function problemOf(
	read: (text: string) => unknown,
	make: (bytes: number) => string,
) {
	const whole = make(bytes);
	let twice = await msOf(read, whole, 1);
	if (twice < floorMs) return undefined;
	const half = make(bytes / 2);
	for (let attempt = 0; attempt < 3; attempt++) {
		const once = await msOf(read, half, 3);
		// More runs make the minimum smaller, at most: they are not needed where one is enough.
		if (twice < 3 * once) return undefined;
		twice = await msOf(read, whole, 3);
		if (twice < floorMs || twice < 3 * once) return undefined;
		if (attempt === 2)
			return `${once.toFixed(0)} ms, doubled ${twice.toFixed(0)} ms`;
	}
	return undefined;
}

const filled = (piece: string) => (bytes: number) =>
	piece.repeat(Math.floor(bytes / Buffer.byteLength(piece)));

async function problems(read: (text: string) => unknown, place = "§") {
	const found: string[] = [];
	for (const piece of pieces) {
		const room = Buffer.byteLength(place);
		const problem = await problemOf(read, (bytes) =>
			place.replace("§", () => filled(piece)(bytes - room)),
		);
		if (problem !== undefined)
			found.push(`${place} with ${JSON.stringify(piece)}: ${problem}`);
	}
	return found;
}

describe("64 KiB of anything take a time in proportion to their length", {
	timeout: 600_000,
}, () => {
	test.each(queries)("in the query %s", async (place) => {
		expect(await problems(plan, place)).toEqual([]);
	});

	test.each(Object.keys(readers))("%s", async (name) => {
		expect(await problems(readers[name] as never)).toEqual([]);
	});
});

test("a line of 64 MB is put together once", async () => {
	const line = (megabytes: number) => `"${"x".repeat(megabytes << 20)}"`;
	const read = (text: string) => drained(readJsonLines, text);
	const once = await msOf(read, line(16), 2);
	const twice = await msOf(read, line(64), 2);
	expect(twice).toBeLessThan(Math.max(500, 10 * once));
});

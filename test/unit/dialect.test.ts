import { describe, expect, test } from "vitest";
import { RemError } from "../../src/errors.ts";
import { describeQueryLanguage } from "../../src/query/dialect/describe-language.ts";
import { parseQuery } from "../../src/query/dialect/parse-query.ts";
import type { RemQuery } from "../../src/query/dialect/rem-query.ts";

const tables = ["resources", "moments", "documents", "people"];
const fields = ["year", "name", "content", "created_at", "tags", "metadata"];
const names = {
	isTable: (name: string) => tables.includes(name),
	isField: (name: string) => fields.includes(name),
};

/** The query without the places of its parts. */
function parsed(text: string): unknown {
	return withoutPlaces(parseQuery(text, names).query);
}

function withoutPlaces(query: RemQuery): unknown {
	return Object.fromEntries(
		Object.entries(query).map(([name, part]) => [
			name,
			typeof part === "object" && "value" in part ? part.value : part,
		]),
	);
}

function failureOf(text: string): RemError {
	try {
		parseQuery(text, names);
	} catch (error) {
		if (error instanceof RemError) return error;
		throw error;
	}
	throw new Error(`no error: ${text}`);
}

const lookup = (...keys: string[]) => ({ kind: "lookup", keys });
const search = (text: string, parts = {}) => ({
	kind: "search",
	text,
	...parts,
});
const sql = (table: string, parts = {}) => ({ kind: "sql", table, ...parts });
const traverse = (types: string[], from: string, parts = {}) => ({
	kind: "traverse",
	types,
	from,
	...parts,
});

describe("a query is read as it is documented", () => {
	test.each<[string, unknown]>([
		['LOOKUP "Sarah Chen"', lookup("Sarah Chen")],
		['LOOKUP ["Sarah", "Mike", "Emily"]', lookup("Sarah", "Mike", "Emily")],
		['LOOKUP "Chen, Sarah"', lookup("Chen, Sarah")],
		["LOOKUP a, b c ,d", lookup("a", "b c", "d")],
		["LOOKUP [a b, 'c]']", lookup("a b", "c]")],
		["LOOKUP a=b", lookup("a=b")],
		["LOOKUP Sarah's notes", lookup("Sarah's notes")],
		["LOOKUP 'it''s'", lookup("it's")],
		[String.raw`LOOKUP "say \"hi\", C:\dir\\"`, lookup('say "hi", C:\\dir\\')],
		[
			'LOOKUP "docs://getting-started.md" IN resources',
			{ ...lookup("docs://getting-started.md"), table: "resources" },
		],
		["lookup 紫式部 in people;", { ...lookup("紫式部"), table: "people" }],
		["LOOKUP meeting in Paris", lookup("meeting in Paris")],
		[
			'FUZZY "sara" THRESHOLD .5 LIMIT 10',
			{ kind: "fuzzy", text: "sara", threshold: 0.5, limit: 10 },
		],
		[
			'FUZZY LOOKUP "getting start" IN resources THRESHOLD 0.3',
			{
				kind: "fuzzy",
				text: "getting start",
				table: "resources",
				threshold: 0.3,
			},
		],
		["fuzzy sara limit 3", { kind: "fuzzy", text: "sara", limit: 3 }],
		['SEARCH "x"', search("x")],
		[
			'SEARCH "database migration" TABLE resources LIMIT 10',
			search("database migration", { table: "resources", limit: 10 }),
		],
		['SEARCH "x" FROM resources', search("x", { table: "resources" })],
		[
			'SEARCH resources "API design"',
			search("API design", { table: "resources" }),
		],
		["SEARCH meeting in Paris", search("meeting in Paris")],
		["SEARCH deploy in documents", search("deploy", { table: "documents" })],
		["SEARCH speed limit for cars", search("speed limit for cars")],
		[
			"SEARCH what's rock 'n roll, \"LIMIT 5\" or so LIMIT 6",
			search("what's rock 'n roll, \"LIMIT 5\" or so", { limit: 6 }),
		],
		[
			'SEARCH "team" TABLE moments WHERE "moment_type=\'meeting\'" LIMIT 5',
			search("team", {
				table: "moments",
				where: "moment_type='meeting'",
				limit: 5,
			}),
		],
		[
			'SEARCH "x" WHERE "tags @> ARRAY[\'ml\']"',
			search("x", { where: "tags @> ARRAY['ml']" }),
		],
		[
			"SEARCH \"x\" WHERE name IN ('a', 'LIMIT 5') AND min > 3 MIN .4 FIELD content IN documents",
			search("x", {
				where: "name IN ('a', 'LIMIT 5') AND min > 3",
				min: 0.4,
				field: "content",
				table: "documents",
			}),
		],
		[
			'SEARCH "x" WHERE "name" IN (\'a\') IN documents',
			search("x", { where: "\"name\" IN ('a')", table: "documents" }),
		],
		[
			'SEARCH "x" WHERE field IS DISTINCT FROM 1 FROM documents',
			search("x", { where: "field IS DISTINCT FROM 1", table: "documents" }),
		],
		[
			"SQL moments WHERE \"moment_type='meeting'\" ORDER BY starts_timestamp DESC LIMIT 10",
			sql("moments", {
				where: "moment_type='meeting'",
				orderBy: "starts_timestamp DESC",
				limit: 10,
			}),
		],
		[
			"SQL resources WHERE metadata->>'status' = 'published' LIMIT 20 OFFSET 40",
			sql("resources", {
				where: "metadata->>'status' = 'published'",
				limit: 20,
				offset: 40,
			}),
		],
		[
			'SQL resources ORDER BY "created_at DESC"',
			sql("resources", { orderBy: "created_at DESC" }),
		],
		['SQL "resources"', sql("resources")],
		[
			'TRAVERSE manages WITH LOOKUP "Sally" DEPTH 1',
			traverse(["manages"], "Sally", { depth: 1 }),
		],
		[
			'TRAVERSE WITH LOOKUP "Sally" DEPTH 0',
			traverse([], "Sally", { depth: 0 }),
		],
		[
			'TRAVERSE manages,reports-to WITH LOOKUP "Sarah" DEPTH 2 LIMIT 5',
			traverse(["manages", "reports-to"], "Sarah", { depth: 2, limit: 5 }),
		],
		[
			'TRAVERSE ["a", "b c"] FROM LOOKUP Sarah Chen DIRECTION in ORDER BY edge.created_at DESC',
			traverse(["a", "b c"], "Sarah Chen", {
				direction: "in",
				orderBy: "edge.created_at DESC",
			}),
		],
		[
			'TRAVERSE "docs://a.md" OUTBOUND DEPTH 1 TYPE "references"',
			traverse(["references"], "docs://a.md", { direction: "out", depth: 1 }),
		],
		[
			"TRAVERSE res:123 INBOUND DEPTH 2",
			traverse([], "res:123", { direction: "in", depth: 2 }),
		],
		[
			"traverse manages with lookup sally depth 2",
			traverse(["manages"], "sally", { depth: 2 }),
		],
	])("%s", (text, expected) => {
		expect(parsed(text)).toEqual(expected);
	});

	test("EXPLAIN stands before any of them", () => {
		expect(parseQuery("explain LOOKUP a", names).explain).toBe(true);
		expect(parseQuery("LOOKUP explain", names).explain).toBe(false);
	});

	test("clauses come in any order, over several lines", () => {
		const text = 'SEARCH "x"\n\tLIMIT 3\n\tFIELD content\n\tIN documents\n';
		expect(parsed(text)).toEqual(
			search("x", { limit: 3, field: "content", table: "documents" }),
		);
	});
});

describe("a mistake is reported with its position and a valid text", () => {
	test.each<[string, number, RegExp, string | undefined]>([
		["", 1, /query is empty/, "begin with LOOKUP"],
		["SERCH x", 1, /unknown verb "SERCH"/, 'did you mean "SEARCH"?'],
		["SELECT * FROM x", 1, /unknown verb/, "service.execute"],
		["/**/ DROP TABLE x", 1, /unknown verb/, undefined],
		["ＬＯＯＫＵＰ x", 1, /unknown verb/, undefined],
		["SQL SELECT * FROM resources", 5, /no table/, "service.execute"],
		["LOOKUP", 7, /expected a name, found the end/, undefined],
		["LOOKUP IN people", 8, /expected a name, found "IN"/, undefined],
		['LOOKUP "abc', 8, /quote " is never closed/, "close it"],
		["LOOKUP [a, b", 13, /expected "," or "]"/, undefined],
		['LOOKUP "a" "b"', 12, /or the end, found "b"/, undefined],
		['SEARCH "x" LIMT 5', 12, /found "LIMT"/, 'did you mean "LIMIT"?'],
		['SEARCH "x" LIMIT five', 18, /a whole number after LIMIT/, undefined],
		['SEARCH "x" LIMIT -5', 18, /a whole number after LIMIT/, undefined],
		['SEARCH "x" LIMIT 5 LIMIT 6', 20, /is given twice/, undefined],
		['FUZZY "x" THRESHOLD high', 21, /a number after THRESHOLD/, undefined],
		["TRAVERSE a b c", 15, /expected WITH LOOKUP "key"/, undefined],
		["TRAVERSE a WITH LOOKUP b DIRECTION up", 36, /out, in or both/, undefined],
		["SQL documents WHERE", 20, /expected a condition/, undefined],
		["SQL documents ORDER year", 21, /expected BY/, undefined],
		["SQL documents WHERE name = 'x", 28, /quote ' is never/, undefined],
		["EXPLAIN EXPLAIN LOOKUP x", 9, /unknown verb "EXPLAIN"/, undefined],
	])("%s", (text, position, message, hint) => {
		const error = failureOf(text);
		expect(error.code).toBe("QUERY_SYNTAX");
		expect(error.message).toMatch(message);
		expect(error.position).toBe(position);
		expect(error.toJSON().position).toBe(position);
		if (hint !== undefined) expect(error.hint).toContain(hint);
	});

	test.each([
		["SQL documents WHERE year > 3 -- x", 30],
		["SQL documents WHERE year > 3 /* x */", 30],
		["SQL documents WHERE name = $$x$$", 28],
		["SQL documents WHERE name = $1", 28],
	])("%s is refused", (text, position) => {
		expect(failureOf(text)).toMatchObject({ code: "FILTER_REFUSED", position });
	});

	test("a text that is too long or no text is refused", () => {
		expect(failureOf(`LOOKUP ${"x".repeat(65_536)}`).code).toBe("INPUT_LIMIT");
		expect(failureOf("LOOKUP a\0b").code).toBe("QUERY_SYNTAX");
		expect(failureOf("LOOKUP \ud800").code).toBe("QUERY_SYNTAX");
		expect(failureOf(undefined as never).code).toBe("VALIDATION");
	});
});

test("the description states what MAX TOKENS without LIMIT returns", () => {
	expect(describeQueryLanguage([])).toMatch(
		/^RECALL .*MAX TOKENS without LIMIT: as many as fit$/m,
	);
});

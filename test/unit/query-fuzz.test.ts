import fc from "fast-check";
import { expect, test } from "vitest";
import * as z from "zod";
import { RemError } from "../../src/errors.ts";
import { defineEntity } from "../../src/models/entity.ts";
import { Registry } from "../../src/models/registry.ts";
import { parseQuery } from "../../src/query/dialect/parse-query.ts";
import { namesOf, planQuery } from "../../src/query/dialect/plan-query.ts";
import { loadSqlGrammar } from "../../src/sql-grammar.ts";
import { queryText } from "../support/query-text.ts";

const text = { name: z.string(), content: z.string().optional() };
const registry = new Registry("public", [
	defineEntity(
		"documents",
		{ ...text, year: z.int().optional() },
		{ entityKeyField: "name" },
	),
	defineEntity("people", text, { entityKeyField: "name" }),
]);

const codes = new Set<string>([
	"QUERY_SYNTAX",
	"FILTER_REFUSED",
	"INPUT_LIMIT",
	"UNKNOWN_ENTITY",
	"UNKNOWN_FIELD",
	"FIELD_NOT_EMBEDDED",
]);

// As a proof with more; then it reports how many were queries and what was slowest.
const given = process.env.REM_TEST_QUERY_TEXTS;
const runs = Number(given ?? 10_000);

test("whatever the text, it is a plan or an error of ours that has its position", async () => {
	const names = namesOf(registry);
	const grammar = await loadSqlGrammar();
	grammar.parse("SELECT 1"); // what is slow only the first time
	const plans = new Set<string>();
	let slowest = { ms: 0, text: "" };
	const check = (text: string) => {
		try {
			planQuery(parseQuery(text, names).query, registry, grammar);
			plans.add(text);
		} catch (error) {
			if (!(error instanceof RemError)) throw error;
			// Each of them as an expect() would take longer than the parser.
			const { code, position = 1 } = error;
			if (!codes.has(code) || position < 1 || position > text.length + 1)
				throw new Error(`${code} at ${position}: ${text}`);
		}
	};
	fc.assert(
		fc.property(queryText, (text) => {
			let ms = timed(() => check(text));
			// What another program took is not the parser's: the minimum of several counts.
			for (let again = 0; ms > slowest.ms && again < 5; again++)
				ms = Math.min(
					ms,
					timed(() => check(text)),
				);
			if (ms > slowest.ms) slowest = { ms, text };
		}),
		{ numRuns: runs },
	);
	// Else the texts would be noise, and the property empty.
	expect(plans.size).toBeGreaterThan(runs / 100);
	if (given !== undefined)
		console.info(
			`${runs} texts, ${plans.size} of them queries; the slowest took ${slowest.ms.toFixed(1)} ms: ${slowest.text.slice(0, 200)}`,
		);
}, 3_600_000);

function timed(work: () => void): number {
	const started = performance.now();
	work();
	return performance.now() - started;
}

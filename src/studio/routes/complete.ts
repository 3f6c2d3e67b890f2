import * as z from "zod";
import type { Entity } from "../../models/entity.ts";
import { limits } from "../../models/limits.ts";
import { completeKey } from "../../tools/complete-name.ts";
import type { CompleteResponse } from "../api/console.ts";
import { scopeInput } from "../input.ts";
import type { Place } from "../place.ts";
import { type RouteCall, route } from "../route.ts";

type Suggestion = CompleteResponse["suggestions"][number];

export const complete = route({
	method: "POST",
	path: "complete",
	input: z.strictObject({
		...scopeInput,
		query: z.string().max(limits.queryBytes),
		cursor: z.int().min(0),
	}),
	run: async (call: RouteCall, given): Promise<CompleteResponse> => {
		const place = call.place(given);
		const to = Math.min(given.cursor, given.query.length);
		const typed = placeOf(given.query.slice(0, to));
		const suggestions = await suggestionsFor(place, typed, given.query);
		return { from: typed.from, to, suggestions: suggestions.slice(0, shown) };
	},
});

const shown = 30;

/** What is before the cursor. */
interface Typed {
	/** Where the word begins that is being written. */
	readonly from: number;
	readonly word: string;
	/** Whether it is in quotes. */
	readonly isQuoted: boolean;
	/** Words before it, in capitals. */
	readonly before: readonly string[];
}

function placeOf(text: string): Typed {
	const quotes = [...text.matchAll(/"(?:[^"\\]|\\.)*("|$)/g)].at(-1);
	const isQuoted = quotes !== undefined && quotes[1] !== '"';
	const from = isQuoted
		? (quotes.index ?? 0)
		: text.length - (/[\p{L}\p{N}_]*$/u.exec(text)?.[0].length ?? 0);
	const before = text
		.slice(0, from)
		.replace(/"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'/g, " TEXT ")
		.toUpperCase()
		.match(/[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu);
	return {
		from,
		word: text.slice(isQuoted ? from + 1 : from),
		isQuoted,
		before: before ?? [],
	};
}

const verbs = ["LOOKUP", "FUZZY", "SEARCH", "RECALL", "TRAVERSE", "SQL"];

const clauses: Readonly<Record<string, readonly string[]>> = {
	LOOKUP: ["IN"],
	FUZZY: ["IN", "THRESHOLD", "LIMIT"],
	SEARCH: ["IN", "FIELD", "WHERE", "MIN", "LIMIT"],
	RECALL: ["IN", "LIMIT", "MAX TOKENS"],
	TRAVERSE: ["WITH LOOKUP", "DEPTH", "DIRECTION", "ORDER BY", "LIMIT"],
	SQL: ["WHERE", "ORDER BY", "LIMIT", "OFFSET"],
};

async function suggestionsFor(
	place: Place,
	{ word, isQuoted, before }: Typed,
	query: string,
): Promise<Suggestion[]> {
	const [first, ...more] = before;
	const verb = first === "EXPLAIN" ? more[0] : first;
	if (verb === undefined)
		return starting(
			[...(first === undefined ? ["EXPLAIN"] : []), ...verbs],
			word,
			"keyword",
		);
	const last = before.at(-1) ?? "";
	if (isQuoted)
		return namesKeys(verb, before) ? keysLike(place, word, query) : [];
	if (last === "SQL" || ["IN", "FROM", "TABLE", "TABLES"].includes(last))
		return tables(place, word);
	const keywords = starting(clauses[verb] ?? [], word, "keyword");
	if (inCondition(before)) return [...fields(place, word, query), ...keywords];
	if (namesKeys(verb, before) && word !== "")
		return [...keywords, ...(await keysLike(place, word, query))];
	return keywords;
}

function inCondition(before: readonly string[]): boolean {
	return before.some((word) => ["WHERE", "ORDER", "FIELD"].includes(word));
}

function namesKeys(verb: string, before: readonly string[]): boolean {
	const isTraversal = verb === "TRAVERSE" && before.includes("LOOKUP");
	return verb === "LOOKUP" || verb === "FUZZY" || isTraversal;
}

function starting(
	texts: readonly string[],
	word: string,
	kind: Suggestion["kind"],
): Suggestion[] {
	const start = word.toUpperCase();
	return texts
		.filter((text) => text.toUpperCase().startsWith(start))
		.map((text) => ({ text, kind }));
}

function tables({ service }: Place, word: string): Suggestion[] {
	const names = service.registry.all().map(({ entity }) => entity.tableName);
	return starting(names, word, "table");
}

/** Of the table that the query names; else of all of them. */
function fields(place: Place, word: string, query: string): Suggestion[] {
	const named = tableIn(place, query);
	const entities =
		named === undefined
			? place.service.registry.all().map(({ entity }) => entity)
			: [named];
	const types = new Map(
		entities.flatMap(({ fieldsByName }) =>
			[...fieldsByName.values()].map(({ column, type }) => [column, type]),
		),
	);
	return starting([...types.keys()], word, "field").map((suggestion) => ({
		...suggestion,
		detail: types.get(suggestion.text) ?? "",
	}));
}

function tableIn({ service }: Place, query: string): Entity | undefined {
	const [, name] = /\b(?:SQL|IN|FROM|TABLE)\s+"?(\w+)/i.exec(query) ?? [];
	return service.registry
		.all()
		.map(({ entity }) => entity)
		.find(({ tableName }) => tableName === name?.toLowerCase());
}

async function keysLike(
	place: Place,
	word: string,
	query: string,
): Promise<Suggestion[]> {
	const { registry } = place.service;
	const names = registry.all().map(({ entity }) => entity.tableName);
	const table = tableIn(place, query)?.tableName;
	const access = {
		registry,
		tables: names,
		isRestricted: false,
		isReadOnly: true,
	};
	const keys = await completeKey(place.scope, access, word, table);
	return keys.map((key) => ({
		text: JSON.stringify(key),
		kind: "key",
		...(table === undefined ? {} : { detail: table }),
	}));
}

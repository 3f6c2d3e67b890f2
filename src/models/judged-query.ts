import { membersOf } from "../util/present.ts";
import type { Gains } from "../util/ranking-metrics.ts";
import { type Check, isRecord, typeName } from "./checks.ts";
import { isBlank, limits, textProblem } from "./limits.ts";
import { describeProblem, withParts } from "./options.ts";

/** A query, and the rows that answer it. */
export interface JudgedQuery {
	readonly query: string;
	/** Entity keys or ids; or an object of how much each is worth: `{ "doc-1": 3, "doc-2": 1 }`. */
	readonly relevant: readonly string[] | Readonly<Record<string, number>>;
}

/** Relevant keys of a query, and queries of an evaluation. */
const maxJudgements = 10_000;

const maxGain = 1000;

const queryText: Check = (value) => {
	if (typeof value !== "string")
		return `must be a string, not ${typeName(value)}`;
	if (isBlank(value)) return "is blank: leave the query out";
	if (value.length > limits.queryTextLength)
		return `has ${value.length} characters, at most ${limits.queryTextLength} are allowed: shorten it`;
	return textProblem(value);
};

const relevantKeys: Check = (value) => {
	if (!Array.isArray(value) && !isRecord(value))
		return `must be an array of keys, or an object of keys and gains, not ${typeName(value)}`;
	const entries = entriesOf(value);
	if (entries.length > maxJudgements)
		return `has ${entries.length} keys, at most ${maxJudgements} are allowed`;
	const known = new Set<unknown>();
	for (const [at, [key, gain]] of entries.entries()) {
		const problem = keyProblem(key) ?? gainProblem(gain);
		if (problem !== undefined) return `[${at}] ${problem}`;
		if (known.has(key)) return `[${at}] is there twice: leave one out`;
		known.add(key);
	}
	return undefined;
};

function keyProblem(key: unknown): string | undefined {
	if (typeof key !== "string")
		return `must be a key or an id, not ${typeName(key)}`;
	if (isBlank(key)) return "is blank: it must be a key or an id";
	// Of UTF-16 units there are at most twice as many.
	if (key.length > 2 * limits.keyLength)
		return `has ${key.length} characters: a key has at most ${limits.keyLength}`;
	return textProblem(key);
}

function gainProblem(gain: unknown): string | undefined {
	const isGain = typeof gain === "number" && gain >= 0 && gain <= maxGain;
	return isGain ? undefined : `must be worth a number from 0 to ${maxGain}`;
}

/** Why the value is not a {@link JudgedQuery}, if it is not. */
export const judgedQuery: Check = withParts(
	{ query: queryText, relevant: relevantKeys },
	["query", "relevant"],
);

/** Why the value is not a list of judged queries, if it is not: each query once. */
export const judgedQueries: Check = (value) => {
	if (!Array.isArray(value)) return `must be an array, not ${typeName(value)}`;
	if (value.length === 0)
		return "is empty: give at least one { query, relevant }";
	if (value.length > maxJudgements)
		return `has ${value.length} queries, at most ${maxJudgements} are allowed: evaluate a sample`;
	const first = new Map<unknown, number>();
	// By index: a hole in the list is no query either.
	for (let at = 0; at < value.length; at++) {
		const problem = judgedQuery(value[at]);
		if (problem !== undefined) return describeProblem(`[${at}]`, problem);
		const { query } = membersOf(value[at]);
		const earlier = first.get(query);
		if (earlier !== undefined)
			return `[${at}] has the query of [${earlier}]: give it once, with all its keys`;
		first.set(query, at);
	}
	return undefined;
};

/** The keys of a judged query with what each is worth; those worth nothing are left out. */
export function gainsOf({ relevant }: JudgedQuery): Gains {
	const entries = entriesOf(relevant) as (readonly [string, number])[];
	return new Map(entries.filter(([, gain]) => gain > 0));
}

function entriesOf(relevant: object): (readonly [unknown, unknown])[] {
	return Array.isArray(relevant)
		? Array.from(relevant, (key: unknown) => [key, 1] as const)
		: Object.entries(relevant);
}

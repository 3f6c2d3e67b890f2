import { RemError } from "../errors.ts";
import { characters, limits, textProblem } from "../models/limits.ts";
import {
	type FuzzyMode,
	type FuzzyQuery,
	fuzzyModes,
	usualThreshold,
} from "./fuzzy-score.ts";
import { checkLimit, checkScope, type ReadScope } from "./scope.ts";

export interface FuzzyRequest extends ReadScope {
	/** Nearly a name, at most 256 characters. */
	readonly query: string;
	/** Least likeness, 0 to 1. @default 0.3 */
	readonly threshold?: number | undefined;
	/** @default "key" */
	readonly mode?: FuzzyMode | undefined;
	/** @default 10 */
	readonly limit?: number | undefined;
	/** Only entities of this table. */
	readonly entityType?: string | undefined;
}

export const defaultLimit = 10;

export function queryOf({
	query,
	mode = "key",
	threshold,
}: FuzzyRequest): FuzzyQuery {
	return { query, mode, threshold };
}

/** Throws unless every part of the request can be asked for. */
export function checkFuzzy(request: FuzzyRequest): void {
	checkScope(request);
	checkQuery(request.query);
	checkLimit(request.limit ?? defaultLimit);
	const { threshold = usualThreshold, mode = "key" } = request;
	if (!(threshold >= 0 && threshold <= 1))
		throw new RemError(
			"VALIDATION",
			`threshold is ${threshold}, expected a number from 0 to 1`,
		);
	if (!fuzzyModes.includes(mode))
		throw new RemError(
			"VALIDATION",
			`mode is none of ${fuzzyModes.join(", ")}`,
		);
}

function checkQuery(query: string): void {
	if (typeof query !== "string" || query === "")
		throw new RemError("VALIDATION", "the fuzzy query is empty or no text");
	if (characters(query) > limits.fuzzyQueryLength)
		throw new RemError(
			"INPUT_LIMIT",
			`the fuzzy query has ${characters(query)} characters, at most ${limits.fuzzyQueryLength} are allowed`,
			{ hint: "FUZZY is for names; for longer texts use SEARCH" },
		);
	const problem = textProblem(query);
	if (problem !== undefined)
		throw new RemError("VALIDATION", `the fuzzy query ${problem}`);
}

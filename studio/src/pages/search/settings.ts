import type { Scope } from "../../../../src/studio/api/common.ts";
import type {
	ListName,
	SearchMode,
	SearchSettings,
} from "../../../../src/studio/api/search.ts";
import { namesOf } from "../../lib/names.ts";
import { type SettingName, settingNames } from "../../lib/parameters.ts";
import type { Change, Params } from "../../lib/router.ts";

// A search's settings as parameters of the address, and back. Those of the
// second search of a comparison begin with "b.".

export type Prefix = "" | "b.";

/** What each mode takes besides tables and a limit. */
const settingsOfMode: Readonly<Record<SearchMode, readonly SettingName[]>> = {
	recall: ["maxTokens"],
	hybrid: ["filter", "vectorMode", "weightVector", "weightText", "weightName"],
	vector: ["filter", "vectorMode"],
	text: ["filter"],
	fuzzy: ["threshold"],
	lookup: [],
};

export function takes(mode: SearchMode, name: SettingName): boolean {
	return settingsOfMode[mode].includes(name);
}

export const modeTexts: Readonly<Record<SearchMode, string>> = {
	recall:
		"names, words, meaning and one step along edges, in a budget of tokens",
	hybrid: "meaning, words and names of one search, fused by their ranks",
	vector: "meaning only: the nearest vectors",
	text: "words only: BM25",
	fuzzy: "names that are similar to the query",
	lookup: "the entities that are called so",
};

export const listTexts: Readonly<
	Record<
		ListName,
		{
			readonly title: string;
			readonly note: string;
			/** What the list is ordered by; none has no score. */
			readonly measure?: string;
		}
	>
> = {
	vector: {
		title: "Vector",
		note: "near by meaning",
		measure: "Cosine similarity",
	},
	text: { title: "Text", note: "has the words", measure: "BM25 score" },
	name: {
		title: "Name",
		note: "is called nearly so",
		measure: "Trigram similarity",
	},
	lookup: { title: "Lookup", note: "the query names it" },
	fuzzy: {
		title: "Fuzzy",
		note: "a word is nearly its name",
		measure: "Trigram similarity",
	},
	edge: {
		title: "Edge",
		note: "an edge leads to it",
		measure: "Score passed on",
	},
};

export const toneOf: Readonly<Record<ListName, string>> = {
	vector: "tone-vector",
	text: "tone-words",
	name: "tone-name",
	lookup: "tone-lookup",
	fuzzy: "tone-name",
	edge: "tone-edge",
};

const modes = Object.keys(settingsOfMode) as SearchMode[];

export function modeOf(params: Params, prefix: Prefix): SearchMode {
	const named = settingOf(params, prefix, "mode");
	return modes.find((mode) => mode === named) ?? "recall";
}

export function settingOf(
	params: Params,
	prefix: Prefix,
	name: SettingName,
): string {
	const parameter = `${prefix}${name}` as const;
	return params[parameter] ?? "";
}

/** The same settings for the second search. */
export function copiedToB(params: Params): Change {
	return Object.fromEntries(
		settingNames.map((name) => [`b.${name}`, params[name]]),
	);
}

export function searchOf(
	params: Params,
	prefix: Prefix,
	scope: Scope,
): SearchSettings | undefined {
	const query = params.q ?? "";
	if (query.trim() === "") return undefined;
	const mode = modeOf(params, prefix);
	const text = (name: SettingName) => {
		const value = settingOf(params, prefix, name);
		const applies = name === "tables" || name === "limit" || takes(mode, name);
		return applies && value !== "" ? value : undefined;
	};
	const number = (name: SettingName) => {
		const value = text(name);
		return value === undefined ? undefined : Number(value);
	};
	const weights = defined({
		vector: number("weightVector"),
		text: number("weightText"),
		name: number("weightName"),
	});
	const vectorMode = text("vectorMode");
	const tables = namesOf(text("tables"));
	return {
		...scope,
		query,
		mode,
		...defined({
			tables: tables.length === 0 ? undefined : tables,
			filter: text("filter"),
			limit: number("limit"),
			threshold: number("threshold"),
			maxTokens: number("maxTokens"),
		}),
		...(Object.keys(weights).length === 0 ? {} : { weights }),
		...(vectorMode === "exact" || vectorMode === "approximate"
			? { vectorMode }
			: {}),
	};
}

type Defined<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

function defined<T extends object>(values: T): Defined<T> {
	const entries = Object.entries(values).filter(
		([, value]) => value !== undefined,
	);
	return Object.fromEntries(entries) as Defined<T>;
}

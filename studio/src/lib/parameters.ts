// Every state of the page, as its address has it. A parameter that is missing
// here is neither read nor accepted by the compiler; each one, and each of the
// values that are listed, is opened by a test of the browser.

const anyText = "text";

/** Of one search. */
const settings = {
	mode: ["recall", "hybrid", "vector", "text", "fuzzy", "lookup"],
	tables: anyText,
	limit: anyText,
	filter: anyText,
	threshold: anyText,
	maxTokens: anyText,
	vectorMode: ["exact", "approximate"],
	weightVector: anyText,
	weightText: anyText,
	weightName: anyText,
} as const;
export type SettingName = keyof typeof settings;
export const settingNames = Object.keys(settings) as SettingName[];

type SecondSettings = { readonly [Name in SettingName as `b.${Name}`]: "text" };

/** Of the second search of a comparison. */
const secondSettings = Object.fromEntries(
	settingNames.map((name) => [`b.${name}`, anyText]),
) as SecondSettings;

/** Whose rows are shown: they stay from page to page. */
export const scopeParameters = {
	tenant: anyText,
	user: anyText,
	shared: ["yes"],
} as const;

/** By page: any text, or one of some values. */
export const parameters = {
	search: {
		q: anyText,
		...settings,
		...secondSettings,
		view: ["plan", "code"],
		why: anyText,
		whyType: anyText,
		compare: ["yes"],
	},
	entities: {
		table: anyText,
		filter: anyText,
		sort: anyText,
		columns: anyText,
		rows: ["deleted"],
		cursor: anyText,
		pageNumber: anyText,
		id: anyText,
		edit: ["yes"],
	},
	graph: {
		from: anyText,
		direction: ["both", "out", "in"],
		depth: ["1", "2", "3"],
		types: anyText,
		expanded: anyText,
		node: anyText,
	},
	health: {},
	console: { q: anyText, view: ["rows", "json", "code"] },
} as const;

export type Page = keyof typeof parameters;

export type ParameterName =
	| keyof typeof scopeParameters
	| { [P in Page]: keyof (typeof parameters)[P] }[Page];

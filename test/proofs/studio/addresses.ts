import type { Page } from "playwright-core";
import { expect } from "vitest";

export const film = "Airplane! (1980)";
export const from = `graph?from=${encodeURIComponent(film)}`;
const ofFilm = "entities?table=films&id=FILM";

/** What stands in addresses for values that each database has others of. */
export interface Placeholders {
	/** The id of the film. */
	readonly FILM: string;
	/** The id of a neighbour of the film, which "Far away" is a neighbour of. */
	readonly ODD: string;
	/** Where the second page of the films begins, ordered by name. */
	readonly CURSOR: string;
	/** The first film of that page. */
	readonly NEXT: string;
}

export function stateOf(state: string, known: Placeholders): string {
	return state.replace(/\b(?:FILM|ODD|CURSOR)\b/g, (name) =>
		encodeURIComponent(known[name as keyof Placeholders]),
	);
}

/**
 * Every parameter of an address, each of its values where these are listed, and
 * what of it the page shows. test/unit/studio-addresses.test.ts compares them
 * with those that the page reads.
 */
export const addresses: readonly (readonly [
	state: string,
	shown: (page: Page, known: Placeholders) => Promise<unknown>,
])[] = [
	["search?q=parody", (page) => value(page, "Query", "parody")],
	...["recall", "hybrid", "vector", "text", "fuzzy", "lookup"].map(
		(mode) =>
			[
				`search?q=parody&mode=${mode}`,
				(page: Page) => current(page, "Mode", mode),
			] as const,
	),
	["search?q=parody&tables=films", (page) => checked(page, "films")],
	["search?q=parody&limit=7", (page) => value(page, "Limit", "7")],
	["search?q=parody&maxTokens=900", (page) => value(page, "Max tokens", "900")],
	[
		"search?q=parody&mode=hybrid&filter=year+%3D+1980",
		(page) => value(page, "Filter", "year = 1980"),
	],
	[
		"search?q=parody&mode=hybrid&vectorMode=exact",
		(page) => value(page, "Compare vectors", "exact"),
	],
	[
		"search?q=parody&mode=vector&vectorMode=approximate",
		(page) => value(page, "Compare vectors", "approximate"),
	],
	[
		"search?q=parody&mode=hybrid&weightVector=0.5&weightText=2&weightName=0",
		async (page) => {
			await value(page, "Weight: vector", "0.5");
			await value(page, "Weight: text", "2");
			await value(page, "Weight: name", "0");
		},
	],
	[
		"search?q=airplane&mode=fuzzy&threshold=0.2",
		(page) => value(page, "Least similarity", "0.2"),
	],
	[
		"search?q=parody&view=plan",
		(page) => current(page, "View", "Plan and SQL"),
	],
	["search?q=parody&view=code", (page) => current(page, "View", "Code")],
	[
		"search?q=parody&compare=yes&b.mode=vector&b.limit=3",
		async (page) => {
			await current(page, "Mode of B", "vector");
			await value(inB(page), "Limit", "3");
			await page.getByRole("columnheader", { name: "Move" }).waitFor();
		},
	],
	[
		"search?q=parody&compare=yes&b.mode=hybrid&b.tables=films&b.filter=year+%3D+1980&b.vectorMode=exact&b.weightVector=0.5&b.weightText=2&b.weightName=0",
		async (page) => {
			await checked(inB(page), "films");
			await value(inB(page), "Filter", "year = 1980");
			await value(inB(page), "Compare vectors", "exact");
			await value(inB(page), "Weight: vector", "0.5");
			await value(inB(page), "Weight: text", "2");
			await value(inB(page), "Weight: name", "0");
		},
	],
	[
		"search?q=airplane&compare=yes&b.mode=fuzzy&b.threshold=0.2",
		(page) => value(inB(page), "Least similarity", "0.2"),
	],
	[
		"search?q=parody&compare=yes&b.mode=recall&b.maxTokens=900",
		(page) => value(inB(page), "Max tokens", "900"),
	],
	[
		`search?q=parody&why=${encodeURIComponent(film)}`,
		(page) => page.getByTestId("verdict").waitFor(),
	],
	[
		"search?q=parody&why=FILM&whyType=films",
		(page) =>
			page
				.getByRole("complementary")
				.getByRole("heading", { name: film })
				.waitFor(),
	],
	["entities?table=people", (page) => current(page, "Tables", /^people/)],
	[
		"entities?table=films&filter=year+%3D+1980",
		(page) => value(page, "Filter", "year = 1980"),
	],
	[
		"entities?table=films&sort=year+desc",
		(page) => page.locator("th[aria-sort=descending]").waitFor(),
	],
	[
		"entities?table=films&columns=genres,tags",
		async (page) => {
			await page.getByRole("columnheader", { name: "tags" }).waitFor();
			expect(
				await page.getByRole("columnheader", { name: "extract" }).count(),
			).toBe(0);
		},
	],
	[
		"entities?table=people&rows=deleted",
		async (page) => {
			await current(page, "Rows", "Deleted");
			await firstRow(page, "Deleted");
			expect(await page.locator("table.entities tbody tr").count()).toBe(1);
		},
	],
	[
		"entities?table=films&sort=name&cursor=CURSOR&pageNumber=2",
		async (page, { NEXT }) => {
			await page.getByText("Page 2,").waitFor();
			await firstRow(page, NEXT);
		},
	],
	[ofFilm, (page) => page.getByRole("region", { name: "Vectors" }).waitFor()],
	[
		`${ofFilm}&edit=yes`,
		(page) => page.getByRole("button", { name: "Save" }).waitFor(),
	],
	[from, (page) => page.locator(".node").first().waitFor()],
	[`${from}&direction=in`, (page) => current(page, "Direction", "In")],
	[`${from}&direction=out`, (page) => current(page, "Direction", "Out")],
	[`${from}&direction=both`, (page) => current(page, "Direction", "Both")],
	[`${from}&depth=1`, (page) => current(page, "Depth", "1 step")],
	[`${from}&depth=2`, (page) => current(page, "Depth", "2 steps")],
	[`${from}&depth=3`, (page) => current(page, "Depth", "3 steps")],
	[`${from}&types=stars`, (page) => checked(page, /^stars/)],
	[
		`${from}&expanded=ODD`,
		async (page) => {
			await page
				.locator(".node.is-expanded")
				.and(page.getByRole("button", { name: "Odd 0, people" }))
				.waitFor();
			// It is two steps away.
			await page.getByRole("button", { name: "Far away, people" }).waitFor();
		},
	],
	[
		`${from}&node=ODD`,
		async (page) => {
			const node = page.getByRole("region", { name: "Node" });
			await node.getByRole("heading", { name: "Odd 0" }).waitFor();
			await page.locator(".node.is-chosen").waitFor();
		},
	],
	["console?q=SQL+films+LIMIT+2", (page) => heading(page, "2 rows")],
	[
		"console?q=SQL+films+LIMIT+2&view=rows",
		(page) => current(page, "View", "Rows"),
	],
	[
		"console?q=SQL+films+LIMIT+2&view=json",
		(page) => current(page, "View", "JSON"),
	],
	[
		"console?q=SQL+films+LIMIT+2&view=code",
		(page) => current(page, "View", "Code"),
	],
	["console?q=EXPLAIN+SQL+films+LIMIT+2", (page) => heading(page, "Explained")],
	["health", (page) => heading(page, "Health")],
	[
		"search?q=parody&user=jan",
		(page) => page.getByText("jan").first().waitFor(),
	],
	[
		"search?q=parody&shared=yes",
		(page) =>
			page
				.getByText(/shared/)
				.first()
				.waitFor(),
	],
	[
		"entities?table=films&tenant=another",
		async (page) => {
			await page
				.locator(".scope")
				.getByText("another", { exact: true })
				.waitFor();
			await heading(page, "films has no rows of this tenant");
		},
	],
];

/** Where the page's parts are looked for: all of it, or a part. */
type Part = Pick<Page, "locator" | "getByLabel" | "getByRole">;

/** The settings of the second search of a comparison. */
function inB(page: Page) {
	return page.locator(".two > div").nth(1);
}

async function value(page: Part, name: string, expected: string) {
	const field = page
		.locator("input, select, textarea")
		// A select's label ends with its options.
		.and(page.getByLabel(new RegExp(`^${name}`)))
		.first();
	await expect.poll(() => field.inputValue()).toBe(expected);
}

async function checked(page: Part, name: string | RegExp) {
	const box = page.getByRole("checkbox", { name }).first();
	await expect.poll(() => box.isChecked()).toBe(true);
}

async function current(page: Part, group: string, text: string | RegExp) {
	const chosen = page
		.getByLabel(group, { exact: true })
		.locator("[aria-current=true]");
	await expect.poll(() => chosen.first().innerText()).toMatch(text);
}

async function firstRow(page: Part, text: string) {
	const first = page.locator("table.entities tbody tr td").first();
	await expect.poll(() => first.innerText()).toBe(text);
}

async function heading(page: Part, name: string) {
	await page.getByRole("heading", { name }).waitFor();
}

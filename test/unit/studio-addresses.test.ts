import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { searchModes } from "../../src/studio/input.ts";
import {
	parameters,
	scopeParameters,
} from "../../studio/src/lib/parameters.ts";
import { addresses } from "../proofs/studio/addresses.ts";

// A state of the studio's page that no test of the browser opens, or that
// docs/studio.md does not name, fails here.

const docs = readFileSync(
	fileURLToPath(new URL("../../docs/studio.md", import.meta.url)),
	"utf8",
);

/** `text`, or the values that there are. */
type Values = "text" | readonly string[];

const opened = addresses.map(([state]) => {
	const [page = "", search = ""] = state.split("?");
	return { page, params: new URLSearchParams(search) };
});

function valuesOf(page: string, name: string): string[] {
	return opened
		.filter((address) => address.page === page || page === "all")
		.flatMap(({ params }) => params.getAll(name));
}

const pages: readonly (readonly [string, Readonly<Record<string, Values>>])[] =
	[["all", scopeParameters], ...Object.entries(parameters)];

describe.each(pages)("the parameters of the page %s", (page, names) => {
	const all = Object.entries(names);

	test("are each opened by a test", () => {
		const missing = all
			.map(([name]) => name)
			.filter((name) => valuesOf(page, name).length === 0);
		expect(missing).toEqual([]);
	});

	test("are opened with each of their values", () => {
		const missing = all.flatMap(([name, values]) =>
			values === "text"
				? []
				: values
						.filter((value) => !valuesOf(page, name).includes(value))
						.map((value) => `${name}=${value}`),
		);
		expect(missing).toEqual([]);
	});

	test("are documented", () => {
		const rows = documentedRows().filter(([first]) => first === page);
		const named = rows.flatMap(([, text = ""]) =>
			[...text.matchAll(/`([\w.…]+)(?:=[\w]+)?`/g)].map(([, name]) => name),
		);
		// The settings of the second search are documented together.
		const wanted = all
			.map(([name]) => (name.startsWith("b.") ? "b.…" : name))
			.filter((name) => !named.includes(name));
		expect(wanted).toEqual([]);
	});
});

test("no test opens a parameter that the page does not read", () => {
	const read = Object.fromEntries(pages);
	const unknown = opened.flatMap(({ page, params }) =>
		[...params.keys()].filter(
			(name) => !(name in (read[page] ?? {}) || name in scopeParameters),
		),
	);
	expect(unknown).toEqual([]);
});

test("the modes are those of the API", () => {
	expect(parameters.search.mode).toEqual(searchModes);
});

/** Rows of the table of parameters; one without a page belongs to the row above. */
function documentedRows(): string[][] {
	const table = docs.slice(docs.indexOf("| page     | parameters"));
	let page = "";
	return table
		.slice(0, table.indexOf("\n\n"))
		.split("\n")
		.slice(2)
		.map((line) => {
			const [, first = "", text = ""] = line.split(/(?<!\\)\|/);
			page = first.trim() === "" ? page : first.trim();
			return [page, text];
		});
}

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emptyDatabase, engines } from "../../cli/run-rem.ts";
import { loadFilms } from "./films.ts";
import {
	describeWithBrowser,
	type OpenPage,
	openPage,
	overflow,
	type Studio,
	seriousFindings,
	settled,
	startStudio,
	useBrowser,
} from "./open-studio.ts";

// Each page with films and people, on both engines.

const states = {
	"an empty search": "search",
	"a recall": "search?q=a+parody+of+disaster+films+in+an+airplane&mode=recall",
	"a hybrid search": "search?q=parody+of+disaster+films&mode=hybrid",
	"a search's plan": "search?q=disaster+films&mode=hybrid&view=plan",
	"a search's code": "search?q=disaster+films&view=code",
	"an explained entity":
		"search?q=disaster+films&mode=hybrid&why=Airplane!+(1980)",
	"a comparison":
		"search?q=disaster+films&mode=hybrid&compare=yes&b.mode=vector",
	entities: "entities?table=films",
	"a filter": "entities?table=films&filter=year+%3D+1980&sort=name",
	"a filter's error": "entities?table=films&filter=yeer+%3D+1980",
	graph: "graph?from=Airplane!+(1980)",
	health: "health",
	console: "console?q=SQL+films+WHERE+year+%3D+1980+LIMIT+5",
	"a console's error": "console?q=SQL+films+WHERE+yeer+%3D+1980",
	"an explained query": "console?q=EXPLAIN+LOOKUP+%22Airplane!+(1980)%22",
} as const;

describeWithBrowser.each(engines)("on the %s database", (engine) => {
	const { browser } = holderOf(useBrowser());
	let studio: Studio;
	let open: OpenPage;

	beforeAll(async () => {
		const url = await emptyDatabase(engine);
		await loadFilms(url);
		studio = await startStudio(url);
		open = await openPage(browser(), studio);
	});
	afterAll(async () => {
		await open?.close();
		await studio?.stop();
	});

	test("the search is the first page, and what it lacks says what to do", async () => {
		const first = await openPage(browser(), studio);
		try {
			const { page, go } = first;
			const heading = (name: string) =>
				page.getByRole("heading", { name }).waitFor();
			await heading("Search");
			await heading("Type a query, as your application or an agent would");
			await go("search?q=xylophone&mode=lookup");
			await heading("Nothing was found");
			await page.getByText("The mode fuzzy finds similar names.").waitFor();
			await go("search?q=parody&why=nothing+of+that+name");
			await heading("No such entity");
			await go("entities?table=films&filter=year+%3D+1066");
			await heading("No row fulfils the filter");
			await page.getByRole("link", { name: "Clear the filter" }).waitFor();
			await go("entities?table=films&rows=deleted");
			await heading("Nothing is deleted");
			await go("entities?table=feelms");
			await page
				.getByText(/feelms/)
				.first()
				.waitFor();
			await go("graph");
			await heading("Which entity?");
			await go("graph?from=nothing+of+that+name");
			await page
				.getByRole("link", { name: "search by similar names" })
				.waitFor();
		} finally {
			await first.close();
		}
	});

	test("the search shows the fused order, its lists and its time", async () => {
		const { page, go } = open;
		await go(states["a recall"]);
		const fused = page.getByRole("region", { name: "Fused order" });
		await fused.getByText("Airplane! (1980)").first().waitFor();
		expect(await page.getByTestId("timing").innerText()).toMatch(
			/\d+ entit(y|ies)\s+in [\d.]+ m?s/,
		);
		await page.getByRole("region", { name: "Vector list" }).waitFor();
		await page.getByRole("region", { name: "Text list" }).waitFor();
	});

	test("each list shows what it ranked, with its own score, whether it was found or not", async () => {
		const { page, go } = open;
		await go("search?q=parody+of+disaster+films&mode=hybrid&limit=3");
		await page.getByTestId("timing").waitFor();
		await settled(page);
		const fused = page.getByRole("region", { name: "Fused order" });
		expect(await fused.getByRole("listitem").count()).toBe(3);
		for (const [name, measure] of [
			["Vector", "Cosine similarity"],
			["Text", "BM25 score"],
		] as const) {
			const list = page.getByRole("region", { name: `${name} list` });
			expect(await list.locator(".entry-head").innerText()).toContain(measure);
			const entries = list.getByRole("listitem");
			const ranks = await entries.locator(".place").allInnerTexts();
			expect(ranks).toEqual(ranks.map((_, at) => String(at + 1)));
			const scores = (await entries.locator(".value").allInnerTexts()).map(
				Number,
			);
			expect(scores.length).toBeGreaterThan(3);
			expect(scores).toEqual([...scores].sort((a, b) => b - a));
			for (const cell of [".entry-head .number:nth-child(3)", "li .value"])
				expect(
					await page.evaluate(
						`getComputedStyle(document.querySelector("section[aria-label='${name} list'] ${cell}")).textAlign`,
					),
				).toBe("right");
			// All three results, and others that did not reach the answer.
			expect(await entries.getByText(/^→ \d+$/).count()).toBeLessThan(4);
			expect(await entries.getByText("—", { exact: true }).count()).toBe(
				scores.length - (await entries.getByText(/^→ \d+$/).count()),
			);
		}
		const other = page
			.getByRole("region", { name: "Vector list" })
			.locator(".entry.is-missing")
			.first();
		await other.click();
		await page.getByTestId("verdict").waitFor();
		expect(await page.getByTestId("verdict").innerText()).toMatch(/^Missing/);
	});

	test("a list is bounded, and what is behind is counted", async () => {
		const { page, go } = open;
		await go("search?q=parody+of+disaster+films&mode=hybrid&limit=40");
		await page.getByTestId("timing").waitFor();
		await settled(page);
		const list = page.getByRole("region", { name: "Vector list" });
		const missing = await list.locator("li .is-missing").count();
		expect(missing).toBeLessThanOrEqual(30);
		const more = list.getByText(
			/^and \d+ candidates? more, not in the answer$/,
		);
		// The films that are made up are fewer.
		expect(await more.count()).toBe(missing < 30 ? 0 : 1);
	});

	test("a result that is clicked is explained, by an address of its own", async () => {
		const { page, go } = open;
		await go("search?q=parody+of+disaster+films&mode=hybrid");
		await page
			.getByRole("region", { name: "Fused order" })
			.getByText("Airplane! (1980)")
			.click();
		const verdict = page.getByTestId("verdict");
		await verdict.waitFor();
		expect(await verdict.innerText()).toMatch(/^Place \d+/);
		await page.reload();
		await page.getByTestId("verdict").waitFor();
		expect(await page.getByTestId("verdict").innerText()).toMatch(/^Place/);
	});

	test("an entity that is not found is explained by its rank in every list", async () => {
		const { page, go } = open;
		await go(states["an empty search"]);
		await go("search?q=parody+of+disaster+films&mode=hybrid&limit=1");
		const field = page.getByRole("textbox", { name: "Entity" });
		await field.fill("blade runner (1982)");
		await field.press("Enter");
		await page.getByTestId("verdict").waitFor();
		expect(await page.getByTestId("verdict").innerText()).toMatch(/^Missing/);
		const ranks = page.getByRole("complementary").getByRole("table");
		expect(await ranks.getByText("Vector").count()).toBe(1);
	});

	test("plan, SQL and code can be read and copied", async () => {
		const { page, go } = open;
		await page
			.context()
			.grantPermissions(["clipboard-read", "clipboard-write"]);
		await go(states["a search's plan"]);
		await page.getByRole("button", { name: "Copy SQL" }).first().click();
		await page.getByText("Copied").first().waitFor();
		const copied = await page.evaluate("navigator.clipboard.readText()");
		expect(copied).toMatch(/SELECT/);
		await go(states["a search's code"]);
		await page
			.getByRole("region", { name: "The same search in TypeScript" })
			.waitFor();
	});

	test("two settings are compared", async () => {
		const { page, go } = open;
		await go(states["a comparison"]);
		await page.getByRole("columnheader", { name: "Move" }).waitFor();
		expect(await page.getByText(/in both$/).count()).toBe(1);
	});

	test("entities are counted, filtered, sorted and paged", async () => {
		const { page, go } = open;
		await go("entities?table=films");
		const rows = page.locator("table.entities tbody tr");
		await rows.first().waitFor();
		expect(await rows.count()).toBe(50);
		const first = await rows.first().innerText();
		await page.getByRole("link", { name: "Next page" }).click();
		await page.getByText("Page 2,").waitFor();
		await settled(page);
		expect(await rows.first().innerText()).not.toBe(first);
		await page.getByRole("button", { name: "Back" }).click();
		await page.getByText("Page 1,").waitFor();
		await settled(page);
		expect(await rows.first().innerText()).toBe(first);

		await page.getByRole("button", { name: "year" }).click();
		await expect
			.poll(() => page.locator("th[aria-sort=ascending]").innerText())
			.toMatch(/^year/);
		const field = page.getByRole("textbox", { name: "Filter" });
		await field.fill("name = 'Blade Runner (1982)'");
		await field.press("Enter");
		await expect.poll(() => rows.count()).toBe(1);
		await field.fill("yeer = 1982");
		await field.press("Enter");
		await page.getByRole("alert").waitFor();
		expect(await page.getByRole("alert").innerText()).toMatch(
			/unknown field "yeer".*UNKNOWN_FIELD/is,
		);
	});

	test("an entity has its fields, vectors, edges, JSON and times", async () => {
		const { page, go } = open;
		await go("entities?table=films&filter=name+%3D+'Airplane!+(1980)'");
		await page.getByRole("link", { name: "Airplane! (1980)" }).click();
		await page.getByRole("heading", { name: "Airplane! (1980)" }).waitFor();
		const part = (name: string) => page.getByRole("region", { name });
		await part("Vectors").getByText("present").waitFor();
		await part("Edges out").getByText("Leslie Nielsen").first().waitFor();
		await part("Edges in").getByText("Leslie Nielsen").first().waitFor();
		await part("JSON").getByText('"extract"').first().waitFor();
		const time = page.locator("time").first();
		expect(await time.getAttribute("title")).toMatch(/ UTC$/);
		// New York is behind UTC, so that local and UTC differ.
		const [local, utc] = [
			await time.innerText(),
			await time.getAttribute("title"),
		];
		expect(local).not.toContain(utc?.slice(11, 16));
	});

	test("the graph grows where it is clicked, and edge types are filtered", async () => {
		const { page, go } = open;
		await go("graph?from=Airplane!+(1980)");
		const nodes = page.locator(".node");
		await nodes.first().waitFor();
		const before = await nodes.count();
		expect(before).toBeGreaterThan(3);
		await page
			.getByRole("button", { name: "Leslie Nielsen, people" })
			.press("Enter");
		await expect.poll(() => nodes.count()).toBeGreaterThan(before);
		expect(page.url()).toContain("expanded=");
		await page.getByRole("checkbox", { name: /^starred_in/ }).check();
		await expect
			.poll(() => page.locator(".edge title").allInnerTexts())
			.not.toContain("stars");
	});

	test("the health page is live", async () => {
		const { page, go } = open;
		await go("health");
		await page.getByText("live", { exact: true }).waitFor();
		for (const name of [
			"Checks",
			"Embeddings",
			"Cache",
			"Connections",
			"Indexes",
		])
			await page.getByRole("region", { name }).locator("time").waitFor();
		const at = page.getByRole("region", { name: "Cache" }).locator("time");
		const first = await at.getAttribute("datetime");
		await expect.poll(() => at.getAttribute("datetime")).not.toBe(first);
	});

	test("the console completes, runs, explains, and marks an error's place", async () => {
		const { page, go } = open;
		await go("console");
		const editor = page.getByRole("textbox", { name: "Query" });
		await editor.fill("");
		await editor.pressSequentially("SQL fil");
		await page.getByRole("option", { name: /films/ }).waitFor();
		await editor.press("Enter");
		expect(await editor.inputValue()).toMatch(/^SQL films/);
		await editor.fill("SQL films WHERE yeer = 1980");
		await editor.press("Control+Enter");
		await page.getByRole("alert").waitFor();
		expect(await page.locator(".error-mark").innerText()).toBe("yeer");
		await editor.fill("SQL films WHERE year = 1980 LIMIT 5");
		await editor.press("Control+Enter");
		await page.getByRole("heading", { name: "5 rows" }).waitFor();
		await page.getByRole("button", { name: "Explain" }).click();
		await page.getByRole("heading", { name: "Explained" }).waitFor();
		await page.getByText("Copy SQL").first().waitFor();
	});

	test("the keyboard reaches rows, and opens and closes them", async () => {
		const { page, go } = open;
		await go("entities?table=people");
		await page.locator("table.entities tbody tr").first().waitFor();
		await page.keyboard.press("j");
		await page.keyboard.press("j");
		await page.keyboard.press("k");
		const focused = "document.activeElement.textContent";
		const first = page.locator("[data-row]").first();
		expect(await page.evaluate(focused)).toBe(await first.textContent());
		await page.keyboard.press("Enter");
		await page.getByRole("region", { name: "Fields" }).waitFor();
		await page.keyboard.press("Escape");
		await page.locator("table.entities").waitFor();
		await page.keyboard.press("/");
		expect(await page.evaluate("document.activeElement.ariaLabel")).toBe(
			"Filter",
		);
		await page.keyboard.press("Escape");
		await page.keyboard.press("?");
		await page.getByRole("dialog").waitFor();
		await page.keyboard.press("Escape");
		await page.getByRole("dialog").waitFor({ state: "detached" });
		await page.keyboard.press("4");
		await page.getByRole("heading", { name: "Health" }).waitFor();
	});

	test("it is read-only without --write, and says how to change that", async () => {
		const { page, go } = open;
		await go("entities?table=films&filter=name+%3D+'Airplane!+(1980)'");
		await page.getByRole("link", { name: "Airplane! (1980)" }).click();
		await page
			.getByText(/--write/)
			.first()
			.waitFor();
		expect(await page.getByRole("button", { name: "Delete" }).count()).toBe(0);
	});

	describe.each(["light", "dark"] as const)("in %s", (colorScheme) => {
		test.each(Object.entries(states))("%s passes axe", async (_, state) => {
			const { page, go, problems, close } = await openPage(browser(), studio, {
				colorScheme,
			});
			try {
				await go(state);
				await settled(page);
				expect(await seriousFindings(page)).toEqual([]);
				expect(problems).toEqual([]);
			} finally {
				await close();
			}
		});
	});

	test.each(Object.entries(states))(
		"%s needs no scrolling sideways at 360 pixels",
		async (_, state) => {
			const { page, go, close } = await openPage(browser(), studio, {
				viewport: { width: 360, height: 780 },
			});
			try {
				await go(state);
				await settled(page);
				expect(await overflow(page)).toBe(0);
			} finally {
				await close();
			}
		},
	);

	test("no script failed, and the content's policy refused nothing", () => {
		expect(open.problems).toEqual([]);
	});
});

/** The browser is there once the hooks have run. */
function holderOf<T extends object>(holder: { readonly browser: T }) {
	return { browser: () => holder.browser };
}

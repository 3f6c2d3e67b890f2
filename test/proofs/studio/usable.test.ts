import { execFile } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
	emptyDatabase,
	engines,
	main,
	temporaryFolder,
} from "../../cli/run-rem.ts";
import {
	addresses,
	film,
	from,
	type Placeholders,
	stateOf,
} from "./addresses.ts";
import {
	Film,
	loadFilms,
	modelsFile,
	Person,
	tenantId,
	withService,
} from "./films.ts";
import {
	describeWithBrowser,
	type OpenPage,
	openPage,
	openTab,
	overflow,
	type Studio,
	seriousFindings,
	settled,
	startStudio,
	useBrowser,
} from "./open-studio.ts";

// Keyboard, addresses, widths, colours and copied code, on both engines.

/** Types of edges that an address must not part, cut or turn. */
const oddTypes = [
	"a,b",
	"a%2Cb",
	"a&b=c",
	"a#b",
	"a?b+c d",
	`quoted "one" and 'two'`,
	"50 %",
	"🎬,🎭",
	"نوع,علاقة",
	"<b>bold</b>",
];

/**
 * Enter on the focused row, and Escape as the very next event, before the browser
 * has painted anything: whether the parameter was in the address after each.
 */
function enterAndEscape(parameter: string): string {
	return `(async () => {
		const row = document.activeElement;
		const isLink = row instanceof HTMLAnchorElement;
		const heard = new Promise((resolve) => {
			if (isLink) return addEventListener("hashchange", resolve, { once: true });
			const { port1, port2 } = new MessageChannel();
			port1.onmessage = resolve;
			port2.postMessage(undefined);
		});
		const press = (key) =>
			document.activeElement.dispatchEvent(
				new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }),
			);
		const isOpen = () => location.hash.includes(${JSON.stringify(`${parameter}=`)});
		if (press("Enter") && isLink) row.click();
		await heard;
		const opened = isOpen();
		press("Escape");
		return { opened, closed: !isOpen() };
	})()`;
}

/** A studio whose addresses may name another tenant. */
const start = (url: string) =>
	startStudio(url, { args: ["--write"], isTenantFixed: false });

describeWithBrowser.each(engines)("on the %s database", (engine) => {
	const holder = useBrowser();
	let url: string;
	let studio: Studio;
	let open: OpenPage;
	let known: Placeholders;

	beforeAll(async () => {
		url = await emptyDatabase(engine);
		await loadFilms(url, 60);
		known = await withService(url, async (service) => {
			await service.batchUpsert({
				tableName: "people",
				entities: oddTypes.map((_, at) => ({ name: `Odd ${at}`, films: at })),
			});
			const scope = service.scope({ tenantId });
			const people = scope.repository(Person);
			const [odd, deleted] = await people.upsert([
				{ name: "Odd 0", films: 0 },
				{ name: "Deleted", films: 0 },
				{ name: "Far away", films: 0 },
			]);
			await people.delete(deleted?.id ?? "");
			await scope.link({
				from: film,
				edges: oddTypes.map((rel_type, at) => ({ dst: `Odd ${at}`, rel_type })),
			});
			await scope.link({
				from: "Odd 0",
				edges: [{ dst: "Far away", rel_type: "knows" }],
			});
			const films = scope.repository(Film);
			const [found] = await films.find({ name: film });
			const page = await films.findPage({}, { orderBy: "name", limit: 50 });
			const { rows } = await films.findPage(
				{},
				{ orderBy: "name", limit: 1, after: page.next ?? "" },
			);
			return {
				FILM: found?.id ?? "",
				ODD: odd?.id ?? "",
				CURSOR: page.next ?? "",
				NEXT: rows[0]?.name ?? "",
			};
		});
		studio = await start(url);
		open = await openPage(holder.browser, studio);
	});
	afterAll(async () => {
		await open?.close();
		await studio?.stop();
	});

	test.each(oddTypes)(
		"the edge type %s is filtered, and linked to",
		async (type) => {
			const { page, go } = open;
			await go(from);
			const box = page
				.getByRole("region", { name: "Edge types" })
				.getByRole("checkbox", { name: type, exact: false });
			const exact = page
				.locator("section[aria-label='Edge types'] label")
				.filter({ hasText: type })
				.first();
			await exact.waitFor();
			await box.first().check();
			const drawn = () => page.locator(".edge title").allTextContents();
			await expect.poll(drawn).toContain(type);
			await expect.poll(async () => new Set(await drawn()).size).toBe(1);
			const address = page.url();
			const other = await openTab(page.context());
			try {
				await other.page.goto(address);
				await other.page
					.locator(".edge title")
					.first()
					.waitFor({ state: "attached" });
				expect(
					new Set(await other.page.locator(".edge title").allTextContents()),
				).toEqual(new Set([type]));
			} finally {
				await other.close();
			}
		},
	);

	test.each(addresses)(
		"the address %s opens its state",
		async (state, shown) => {
			const fresh = await openTab(open.page.context());
			try {
				const address = `#/${stateOf(state, known)}`;
				await fresh.page.goto(new URL(`/${address}`, studio.url).href);
				await shown(fresh.page, known);
				await settled(fresh.page);
				expect(fresh.problems).toEqual([]);
			} finally {
				await fresh.close();
			}
		},
	);

	// What a browser does with a page does not depend on the database.
	if (engine === engines.at(-1)) {
		describe.each([360, 768, 1280, 3840])("%i pixels wide", (width) => {
			test("no state scrolls sideways", async () => {
				const wide = await openPage(holder.browser, studio, {
					viewport: { width, height: 800 },
				});
				try {
					for (const [state] of addresses) {
						await wide.go(stateOf(state, known));
						await settled(wide.page);
						expect([state, await overflow(wide.page)]).toEqual([state, 0]);
					}
				} finally {
					await wide.close();
				}
			});
		});

		test.each(["light", "dark"] as const)(
			"in %s, axe finds nothing serious in any state",
			async (colorScheme) => {
				const themed = await openPage(holder.browser, studio, { colorScheme });
				try {
					for (const [state] of addresses) {
						await themed.go(stateOf(state, known));
						await settled(themed.page);
						expect([state, await seriousFindings(themed.page)]).toEqual([
							state,
							[],
						]);
					}
				} finally {
					await themed.close();
				}
			},
		);

		const pagesWithRows: readonly (readonly [string, string, string])[] = [
			["search?q=parody+of+disaster+films", "Query", "[data-testid=verdict]"],
			["entities?table=films", "Filter", "section[aria-label=Fields]"],
			["graph", "Start", ".node"],
			["console?q=SQL+films+LIMIT+3", "Query", "section[aria-label=Fields]"],
		];

		test.each(pagesWithRows)(
			"%s: /, j, k, Enter and Esc",
			async (state, field, opened) => {
				const { page, go } = open;
				await go("health");
				await go(state);
				await page.locator("main [data-row]").nth(1).waitFor();
				await settled(page);
				const press = (key: string) => page.keyboard.press(key);
				await press("/");
				const focused = () => page.evaluate("document.activeElement.ariaLabel");
				await expect.poll(focused).toBe(field);
				await press("Escape");
				expect(await focused()).toBeNull();
				const row = () =>
					page.evaluate(
						"[...document.querySelectorAll('main [data-row]')].indexOf(document.activeElement)",
					);
				await press("j");
				await press("j");
				expect(await row()).toBe(1);
				await press("k");
				expect(await row()).toBe(0);
				await press("Enter");
				await page.locator(opened).first().waitFor();
				await press("Escape");
				if (opened !== ".node")
					await page.locator(opened).first().waitFor({ state: "detached" });
			},
		);

		test.each([
			["search?q=parody+of+disaster+films", "why"],
			["entities?table=films", "id"],
			[from, "node"],
		])("%s: Esc closes at once what Enter opened", async (state, parameter) => {
			const { page, go } = open;
			await go("health");
			await go(state);
			await page.locator("main [data-row]").first().waitFor();
			await settled(page);
			await page.keyboard.press("j");
			expect(await page.evaluate(enterAndEscape(parameter))).toEqual({
				opened: true,
				closed: true,
			});
		});

		test("the theme is chosen, stays, and is there at the first paint", async () => {
			const themed = await openPage(holder.browser, studio, {
				colorScheme: "light",
			});
			try {
				const { page } = themed;
				const theme = () =>
					page.evaluate("document.documentElement.dataset.theme");
				const button = page.getByRole("button", { name: /^Colours/ });
				await button.click();
				await button.click();
				expect(await theme()).toBe("dark");
				await page.route("**/index-*.js", (route) => route.abort());
				await page.reload();
				expect(await theme()).toBe("dark");
				await page.getByText("rem studio").waitFor();
			} finally {
				await themed.close();
			}
		});

		test("numbers stand on the right, times are local with UTC on hover", async () => {
			const { page, go } = open;
			await go("entities?table=films&columns=year,createdAt");
			await page.locator("table.entities td.number").first().waitFor();
			for (const cell of ["th.number", "td.number"])
				expect(
					await page.evaluate(
						`getComputedStyle(document.querySelector("table.entities ${cell}")).textAlign`,
					),
				).toBe("right");
			const time = page.locator("table.entities time").first();
			const at = new Date((await time.getAttribute("datetime")) ?? "");
			expect(await time.getAttribute("title")).toBe(
				`${at.toISOString().slice(0, 19).replace("T", " ")} UTC`,
			);
			const local = at.toLocaleTimeString("en-GB", {
				timeZone: "America/New_York",
			});
			expect(await time.innerText()).toContain(local);
		});
	}

	test("what the copy buttons copy runs, and finds what the page shows", async () => {
		const { page, go } = open;
		await page
			.context()
			.grantPermissions(["clipboard-read", "clipboard-write"]);
		const copied = async (button: string) => {
			await page.getByRole("button", { name: button }).first().click();
			await page.getByText("Copied").first().waitFor();
			return String(await page.evaluate("navigator.clipboard.readText()"));
		};
		await go(
			"search?q=who's+in+a+%22parody%22%3F&mode=hybrid&limit=4&view=code",
		);
		await settled(page);
		const code = await copied("Copy code");
		await go("search?q=-parody&mode=text&limit=4&view=code");
		await settled(page);
		const command = await copied("Copy command");
		await go(
			"console?q=SQL+films+WHERE+year+%3D+1980+ORDER+BY+name+LIMIT+3&view=code",
		);
		await settled(page);
		const query = await copied("Copy command");
		const json = JSON.parse(await copied("Copy JSON"));
		// The embedded database has one process at a time.
		await studio.stop();
		try {
			const found = await withService<{ readonly name: string }[]>(
				url,
				(service) =>
					new Function("service", `return (async () => ${code})()`)(service),
			);
			expect(found.map(({ name }) => name)).toContain(film);
			expect(found.length).toBe(4);
			expect(await shell(command, url)).toContain(film);
			const answer = await shell(query, url);
			for (const { name } of json.rows) expect(answer).toContain(name);
		} finally {
			await open.close();
			studio = await start(url);
			open = await openPage(holder.browser, studio);
		}
	});
});

const folder = temporaryFolder({ "models.ts": modelsFile });

/** Runs the command in a shell in which `rem` is the built one, with the database and the models. */
async function shell(command: string, url: string): Promise<string> {
	const bin = join(folder, "rem");
	writeFileSync(
		bin,
		`#!/bin/sh\ncommand=$1; shift\nexec '${process.execPath}' '${main}' "$command" --url '${url}' --models '${join(folder, "models.ts")}' --json "$@"\n`,
	);
	chmodSync(bin, 0o755);
	const { stdout } = await promisify(execFile)("sh", ["-c", command], {
		cwd: folder,
		env: {
			PATH: `${folder}:${process.env.PATH}`,
			EMBEDDING__PROVIDER: "local",
		},
	});
	return stdout;
}

import { afterAll, beforeAll, expect, test } from "vitest";
import { emptyDatabase, engines } from "../../cli/run-rem.ts";
import { withService } from "./films.ts";
import {
	describeWithBrowser,
	type OpenPage,
	openPage,
	overflow,
	type Studio,
	settled,
	startStudio,
	useBrowser,
} from "./open-studio.ts";

// Stored content is shown, and never run.

const attacks = [
	'<script>window.attacked = "script"</script>',
	'<img src=x onerror="window.attacked = 1">',
	'"><svg onload=window.attacked=2>',
	"javascript:window.attacked=3",
	"{{constructor.constructor('window.attacked=4')()}}",
	"</title></textarea></style><script>window.attacked=5</script>",
	"<a href='javascript:window.attacked=6' autofocus onfocus=window.attacked=7>x</a>",
	`${"wide".repeat(50)}`,
	"\u202Eright to left\u202C, \u200Bzero width, 🧨 and 表",
];

describeWithBrowser.each(engines)("on the %s database", (engine) => {
	const holder = useBrowser();
	let studio: Studio;
	let open: OpenPage;

	beforeAll(async () => {
		const url = await emptyDatabase(engine);
		await withService(url, async (service) => {
			await service.migrate();
			await service.batchUpsert({
				tableName: "films",
				entities: attacks.map((text, at) => ({
					name: text,
					extract: `attack ${at}: ${text}`,
					year: 1980 + at,
					genres: [text],
					tags: [text],
					metadata: { [text]: text },
					graphEdges: attacks.map((dst) => ({ dst, rel_type: text })),
				})),
			});
		});
		studio = await startStudio(url, { args: ["--write"] });
		open = await openPage(holder.browser, studio);
	});
	afterAll(async () => {
		await open?.close();
		await studio?.stop();
	});

	const states = [
		"search?q=attack",
		"search?q=attack&mode=hybrid&view=code",
		`search?q=attack&why=${encodeURIComponent(attacks[0] ?? "")}`,
		`search?q=${encodeURIComponent(attacks[0] ?? "")}&mode=lookup`,
		"entities?table=films&columns=genres,tags,metadata,extract",
		`entities?table=films&filter=${encodeURIComponent("name LIKE '<script%'")}`,
		`entities?table=${encodeURIComponent(attacks[1] ?? "")}`,
		`graph?from=${encodeURIComponent(attacks[0] ?? "")}`,
		`graph?from=${encodeURIComponent("<script>window.attacked=8</script>")}`,
		"console?q=SQL+films",
		`console?q=${encodeURIComponent(attacks[1] ?? "")}`,
		"health",
	];

	test.each(states)("%s runs nothing", async (state) => {
		await open.go(state);
		await settled(open.page);
		expect(await open.page.evaluate("window.attacked")).toBeUndefined();
		expect(open.problems).toEqual([]);
	});

	test("an entity whose name is a script tag is shown as it is", async () => {
		const { page, go } = open;
		await go("entities?table=films&sort=year");
		await page
			.getByRole("link", { name: attacks[0] ?? "", exact: true })
			.click();
		await page
			.getByRole("heading", { name: attacks[0] ?? "", exact: true })
			.waitFor();
		await page.getByRole("link", { name: "Edit" }).click();
		const name = page.getByRole("textbox", { name: /^name/ });
		expect(await name.inputValue()).toBe(attacks[0]);
		await settled(page);
		expect(await page.evaluate("window.attacked")).toBeUndefined();
		expect(await page.locator("script:not([src])").count()).toBe(0);
	});

	test("a name without a space does not make the page wider", async () => {
		const narrow = await openPage(holder.browser, studio, {
			viewport: { width: 360, height: 780 },
		});
		try {
			for (const state of states) {
				await narrow.go(state);
				await settled(narrow.page);
				expect([state, await overflow(narrow.page)]).toEqual([state, 0]);
			}
		} finally {
			await narrow.close();
		}
	});
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emptyDatabase, engines } from "../../cli/run-rem.ts";
import { withService } from "./films.ts";
import {
	describeWithBrowser,
	type OpenPage,
	openPage,
	type Studio,
	settled,
	startStudio,
	useBrowser,
} from "./open-studio.ts";

const entities = 100_000;

/** The one that everything else leads to. */
const hub = "Hub";

describe("with 100,000 entities", () => {
	describeWithBrowser.each(engines)("on the %s database", (engine) => {
		const holder = useBrowser();
		let studio: Studio;
		let open: OpenPage;

		beforeAll(async () => {
			const url = await emptyDatabase(engine);
			await withService(url, async (service) => {
				await service.migrate();
				await service.batchUpsert({
					tableName: "people",
					generateEmbeddings: false,
					atomic: "chunk",
					entities: Array.from({ length: entities }, (_, at) => ({
						name: at === 0 ? hub : `Person ${String(at).padStart(6, "0")}`,
						films: at % 100,
						graphEdges: at === 0 ? [] : [{ dst: hub, rel_type: "knows" }],
					})),
				});
			});
			studio = await startStudio(url);
			open = await openPage(holder.browser, studio);
		});
		afterAll(async () => {
			await open?.close();
			await studio?.stop();
		});

		test("counts them and pages through them from one key to the next", async () => {
			const { page, go } = open;
			await go("entities?table=people&sort=name");
			await page
				.getByRole("navigation", { name: "Tables" })
				.getByText("100,000")
				.waitFor();
			const rows = page.locator("table.entities tbody tr");
			const seen = new Set<string>();
			for (let number = 1; number <= 5; number++) {
				await page.getByText(`Page ${number},`).waitFor();
				await settled(page);
				for (const name of await rows.locator("td:first-child").allInnerTexts())
					seen.add(name);
				await page.getByRole("link", { name: "Next page" }).click();
			}
			expect(seen.size).toBe(250);
			expect([...seen][0]).toBe(hub);
			expect([...seen][249]).toBe("Person 000249");
		});

		test("opens a page in their midst by its address", async () => {
			const { page, go } = open;
			await go(
				"entities?table=people&sort=name&filter=name+%3E%3D+'Person+090000'",
			);
			const first = page.locator("table.entities tbody tr td").first();
			await expect.poll(() => first.innerText()).toBe("Person 090000");
			await page.getByRole("link", { name: "Next page" }).click();
			await expect.poll(() => first.innerText()).toBe("Person 090050");
			await page.reload();
			await expect.poll(() => first.innerText()).toBe("Person 090050");
		});

		test("draws at most 300 nodes and counts the rest", async () => {
			const { page, go } = open;
			await go(`graph?from=${hub}`);
			await page.locator(".node").first().waitFor();
			expect(await page.locator(".node").count()).toBeLessThanOrEqual(300);
			await page.getByText(/more not drawn/).waitFor();
			await page.getByRole("checkbox", { name: /^knows.*99,999/ }).waitFor();
		});

		test("shows an entity with 99,999 edges that lead to it", async () => {
			const { page, go } = open;
			await go(`entities?table=people&filter=name+%3D+'${hub}'`);
			await page.getByRole("link", { name: hub, exact: true }).click();
			await page
				.getByRole("region", { name: "Edges in · 99,999" })
				.getByText(/and 99,799 edges more/)
				.waitFor();
		});
	});
});

import { afterAll, beforeAll, expect, test } from "vitest";
import { emptyDatabase, engines } from "../../cli/run-rem.ts";
import { loadFilms, withService } from "./films.ts";
import {
	describeWithBrowser,
	type OpenPage,
	openPage,
	type Studio,
	startStudio,
	useBrowser,
} from "./open-studio.ts";

// docs/studio.md, "Why is a film missing?", as a test.

const film = "Raiders of the Lost Ark (1981)";
const query = "q=historian+chasing+a+holy+relic";

describeWithBrowser.each(engines)("on the %s database", (engine) => {
	const holder = useBrowser();
	let studio: Studio;
	let open: OpenPage;

	beforeAll(async () => {
		const url = await emptyDatabase(engine);
		await loadFilms(url);
		await withService(url, async (service) => {
			await service.execute(
				"UPDATE films SET extract = extract || ' ' WHERE name = $1",
				[film],
			);
			await service.execute("DELETE FROM rem_embedding_queue");
			await service.execute(
				"DELETE FROM embeddings_films WHERE entity_id = (SELECT id FROM films WHERE name = $1)",
				[film],
			);
			await service.batchUpsert({
				tableName: "films",
				generateEmbeddings: false,
				entities: ["Queued film", "Refused film"].map((name) => ({
					name,
					extract: `${name} waits for its vector.`,
					year: 1989,
				})),
			});
			await service.execute(
				"UPDATE rem_embedding_queue SET state = 'dead', reason = 'the text was refused' WHERE entity_id = (SELECT id FROM films WHERE name = 'Refused film')",
			);
		});
		studio = await startStudio(url, { args: ["--write"] });
		open = await openPage(holder.browser, studio);
	});
	afterAll(async () => {
		await open?.close();
		await studio?.stop();
	});

	test("a film without a vector is explained, and embedded from there", async () => {
		const { page, go } = open;
		await go(`search?${query}&mode=recall&tables=films&limit=30`);
		await page.getByTestId("timing").waitFor();
		const field = page.getByRole("textbox", { name: "Entity" });
		await field.fill(film);
		await field.press("Enter");
		const verdict = page.getByTestId("verdict");
		await verdict.waitFor();
		expect(await verdict.innerText()).toMatch(/^Missing/);
		const panel = page.getByRole("complementary");
		await panel.getByText("missing", { exact: true }).first().waitFor();
		await panel.getByRole("button", { name: "Embed it now" }).click();
		await panel.getByText("present", { exact: true }).first().waitFor();
		await expect.poll(() => verdict.innerText()).toMatch(/^Place \d+/);
	});

	test("a film that was deleted is explained, and restored from there", async () => {
		const { page, go } = open;
		await go(
			`entities?table=films&filter=${encodeURIComponent(`name = '${film}'`)}`,
		);
		await page.getByRole("link", { name: film }).click();
		await page.getByRole("button", { name: "Delete" }).click();
		await page.getByRole("button", { name: "Delete" }).click();
		await page.getByText("deleted", { exact: true }).first().waitFor();
		await go(`search?${query}&why=${encodeURIComponent(`films/${film}`)}`);
		const verdict = page.getByTestId("verdict");
		await expect.poll(() => verdict.innerText()).toMatch(/^Missing.*deleted/is);
		await page.getByRole("button", { name: "Restore it" }).click();
		await expect
			.poll(() => page.getByRole("complementary").innerText())
			.not.toMatch(/\bdeleted\b/);
	});

	test("an edit is checked by the model, and saved", async () => {
		const { page, go } = open;
		await go(
			`entities?table=films&filter=${encodeURIComponent(`name = '${film}'`)}`,
		);
		await page.getByRole("link", { name: film }).click();
		await page.getByRole("link", { name: "Edit" }).click();
		const rating = page.getByRole("textbox", { name: /^rating/ });
		await page.getByRole("checkbox", { name: "rating has no value" }).uncheck();
		await rating.fill("11");
		await page.getByRole("button", { name: "Save" }).click();
		await expect.poll(() => rating.getAttribute("aria-invalid")).toBe("true");
		await rating.fill("8.1");
		await page.getByRole("button", { name: "Save" }).click();
		await page
			.getByRole("region", { name: "Fields" })
			.getByText("8.1")
			.waitFor();
	});

	test("an entity shows texts that wait or were refused, with the reason, and embeds them again", async () => {
		const { page, go } = open;
		for (const [name, state, reason] of [
			["Queued film", "queued", undefined],
			["Refused film", "dead letter", "the text was refused"],
		] as const) {
			await go(
				`entities?table=films&filter=${encodeURIComponent(`name = '${name}'`)}`,
			);
			await page.getByRole("link", { name }).click();
			const vectors = page.getByRole("region", { name: "Vectors" });
			await vectors.getByText(state, { exact: true }).waitFor();
			if (reason !== undefined) await vectors.getByText(reason).waitFor();
			await vectors.getByRole("button", { name: "Embed now" }).click();
			await vectors.getByText("present", { exact: true }).waitFor();
			expect(await vectors.getByText(state, { exact: true }).count()).toBe(0);
		}
	});

	test("edges are added and removed", async () => {
		const { page, go } = open;
		await go(
			`entities?table=films&filter=${encodeURIComponent(`name = '${film}'`)}`,
		);
		await page.getByRole("link", { name: film }).click();
		const edges = page.getByRole("region", { name: /^Edges out/ });
		await edges.getByRole("textbox", { name: "Type of the edge" }).fill("like");
		await edges
			.getByRole("textbox", { name: "Key of the target" })
			.fill("Airplane! (1980)");
		await edges.getByRole("button", { name: "Link", exact: true }).click();
		await edges.getByRole("link", { name: "Airplane! (1980)" }).waitFor();
		await edges
			.getByRole("button", { name: "Unlink like Airplane! (1980)" })
			.click();
		await edges
			.getByRole("link", { name: "Airplane! (1980)" })
			.waitFor({ state: "detached" });
	});
});

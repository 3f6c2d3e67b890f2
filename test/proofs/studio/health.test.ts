import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emptyDatabase } from "../../cli/run-rem.ts";
import { openSnapshot } from "../../support/blocker.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { loadFilms, withService } from "./films.ts";
import {
	describeWithBrowser,
	type OpenPage,
	openPage,
	type Studio,
	startStudio,
	useBrowser,
} from "./open-studio.ts";

// The health page with a server, a small pool, a queue and many tabs.

const server = process.env.REM_TEST_DATABASE_URL;
const tabs = 12;

describe.skipIf(server === undefined)("the health of a server", () => {
	describeWithBrowser("in a browser", () => {
		const holder = useBrowser();
		let proxy: TcpProxy;
		let studio: Studio;
		let open: OpenPage;
		let url: string;

		beforeAll(async () => {
			url = await emptyDatabase("server");
			await loadFilms(url, 30);
			await withService(url, async (service) => {
				await service.batchUpsert({
					tableName: "films",
					generateEmbeddings: false,
					entities: [{ name: "Queued", extract: "It waits.", year: 1989 }],
				});
			});
			studio = await startStudio(url, { env: { POSTGRES__POOL_SIZE: "2" } });
			// Between the browser and the studio.
			proxy = await TcpProxy.start(Number(new URL(studio.url).port));
			const through = { ...studio, url: proxy.through(studio.url) };
			open = await openPage(holder.browser, through);
		});
		afterAll(async () => {
			await open?.close();
			await proxy?.stop();
			await studio?.stop();
		});

		test("it shows the queue over time, the pool and slow calls", async () => {
			const { page, go } = open;
			await go("health");
			const part = (name: string) => page.getByRole("region", { name });
			await part("Embeddings")
				.locator("figure polyline")
				.first()
				// A line without ups and downs has no height.
				.waitFor({ state: "attached" });
			await part("Embeddings").getByText("queued 1").waitFor();
			await part("Embeddings")
				.getByText(/a second$/)
				.waitFor();
			await part("Connections").locator(".pool i").nth(1).waitFor();
			await part("Slowest calls of the studio")
				.locator("tbody tr")
				.first()
				.waitFor();
			await part("Indexes")
				.getByRole("columnheader", { name: "Progress" })
				.waitFor();
		});

		test("an index build shows its phase, how far it is and the time that is left", async () => {
			const { page, go } = open;
			await go("health");
			const build = page
				.getByRole("region", { name: "Indexes" })
				.locator("tbody tr")
				.filter({ hasText: "hnsw_films__extract" });
			// What a build waits for before its index is valid.
			const blocker = await openSnapshot(url);
			await withService(url, async (service) => {
				const built = service.createIndexConcurrently({
					tableName: "films",
					indexType: "hnsw",
				});
				await build.getByText("building", { exact: true }).waitFor();
				await build
					.getByText(/^99 % waiting for old snapshots, [\d.]+ (ms|s|min) left$/)
					.waitFor();
				await blocker.release();
				await built;
			});
			await build.getByText("valid", { exact: true }).waitFor();
			expect(await build.getByText(/left$/).count()).toBe(0);
		});

		test("the stream connects again by itself", async () => {
			const { page, go } = open;
			await go("health");
			await page.getByText("live", { exact: true }).waitFor();
			proxy.goAway();
			await page.getByText("connecting", { exact: true }).waitFor();
			proxy.comeBack();
			await page.getByText("live", { exact: true }).waitFor();
			const time = page.getByRole("region", { name: "Cache" }).locator("time");
			const before = await time.getAttribute("datetime");
			await expect.poll(() => time.getAttribute("datetime")).not.toBe(before);
		});

		test(`${tabs} tabs exhaust neither the pool nor the browser's connections`, async () => {
			const context = open.page.context();
			const address = new URL("#/health", open.page.url()).href;
			for (let tab = 1; tab < tabs; tab++) {
				const page = await context.newPage();
				await page.goto(address);
				await page.getByText("live", { exact: true }).waitFor();
				await page.evaluate(hide);
				await page.getByText("connecting", { exact: true }).waitFor();
			}
			const { page, go } = open;
			await page.bringToFront();
			await go("search?q=disaster+films&mode=text");
			await page.getByTestId("timing").waitFor();
			await go("health");
			await page.getByText("live", { exact: true }).waitFor();
		});
	});
});

/** As when another tab is looked at: a browser without windows shows all of them. */
const hide = `
	Object.defineProperty(document, "visibilityState", { value: "hidden" });
	document.dispatchEvent(new Event("visibilitychange"));
`;

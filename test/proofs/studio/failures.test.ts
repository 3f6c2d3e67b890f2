import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emptyDatabase, engines } from "../../cli/run-rem.ts";
import {
	type EmbeddingServer,
	startEmbeddingServer,
} from "../../support/embedding-server.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { loadFilms } from "./films.ts";
import {
	describeWithBrowser,
	type OpenPage,
	openPage,
	type Studio,
	startStudio,
	useBrowser,
} from "./open-studio.ts";

const server = process.env.REM_TEST_DATABASE_URL;

describe.skipIf(server === undefined)("a database that goes away", () => {
	describeWithBrowser("and returns", () => {
		const holder = useBrowser();
		let proxy: TcpProxy;
		let studio: Studio;
		let open: OpenPage;

		beforeAll(async () => {
			const url = await emptyDatabase("server");
			await loadFilms(url, 60);
			proxy = await TcpProxy.start(Number(new URL(url).port || 5432));
			studio = await startStudio(proxy.through(url), {
				env: { POSTGRES__RETRY_TIMEOUT_MS: "200" },
			});
			open = await openPage(holder.browser, studio);
		});
		afterAll(async () => {
			await open?.close();
			await studio?.stop();
			await proxy?.stop();
		});

		test.each([
			["entities", "entities?table=films", "table.entities"],
			["search", "search?q=disaster+films", ".fused"],
			["console", "console?q=SQL+films+LIMIT+3", "section[aria-label=Answer]"],
			["graph", "graph?from=Airplane!+(1980)", ".node"],
		])(
			"%s says so, and shows the data once it is back",
			async (_, state, content) => {
				const { page, go } = open;
				await go("health");
				await page.getByRole("heading", { name: "Health" }).waitFor();
				proxy.goAway();
				await go(state);
				const problem = page.getByRole("alert").first();
				await problem.waitFor();
				expect(await problem.innerText()).toMatch(/Trying again by itself/);
				proxy.comeBack();
				await page.locator(content).first().waitFor();
				await problem.waitFor({ state: "detached" });
			},
		);

		test("health reports it, part by part, and recovers", async () => {
			const { page, go } = open;
			await go("health");
			const cache = page.getByRole("region", { name: "Cache" });
			await cache.getByText("ready", { exact: true }).waitFor();
			proxy.goAway();
			await cache.getByRole("alert").waitFor();
			proxy.comeBack();
			await cache.getByText("ready", { exact: true }).waitFor();
		});
	});
});

describeWithBrowser.each(engines)(
	"a provider, on the %s database",
	(engine) => {
		const holder = useBrowser();
		let provider: EmbeddingServer;
		let studio: Studio;
		let open: OpenPage;

		beforeAll(async () => {
			provider = await startEmbeddingServer({ delayMs: 1_500 });
			const url = await emptyDatabase(engine);
			await loadFilms(url, 5, {
				provider: "openai",
				baseUrl: provider.openaiUrl,
				apiKey: "sk-test",
			});
			studio = await startStudio(url, {
				args: ["--write"],
				env: {
					EMBEDDING__PROVIDER: "openai",
					EMBEDDING__BASE_URL: provider.openaiUrl,
					OPENAI_API_KEY: "sk-test",
				},
			});
			open = await openPage(holder.browser, studio);
		});
		afterAll(async () => {
			await open?.close();
			await studio?.stop();
			await provider?.close();
		});

		test("that is slow: the page says that it works, and stays usable", async () => {
			const { page, go } = open;
			await go("entities?table=films&filter=name+%3D+'Airplane!+(1980)'");
			await page.getByRole("link", { name: "Airplane! (1980)" }).click();
			await page.getByRole("link", { name: "Edit" }).click();
			await page.getByRole("textbox", { name: /^extract/ }).fill("A new text.");
			await page.getByRole("button", { name: "Save" }).click();
			await page.getByText("Saving…").waitFor();
			await page.getByRole("region", { name: "Fields" }).waitFor();
			await page.getByText("A new text.").first().waitFor();
			await page.keyboard.press("4");
			await page.getByRole("heading", { name: "Health" }).waitFor();
		});

		test("that fails: the page shows its error, and no text or key of the request", async () => {
			const { page, go } = open;
			provider.misbehave("key-refused", 100);
			await go("search?q=something+new&mode=vector&tables=films");
			const alert = page.getByRole("alert").first();
			await alert.waitFor();
			expect(await alert.innerText()).toMatch(/PROVIDER|provider/);
			expect(await page.content()).not.toContain("sk-test");
			provider.reset();
		});
	},
);

import { join } from "node:path";
import axe from "axe-core";
import type {
	Browser,
	BrowserContext,
	BrowserContextOptions,
	Page,
} from "playwright-core";
import { afterAll, beforeAll, describe } from "vitest";
import { findChromium, launchChromium } from "../../../scripts/chromium.ts";
import { temporaryFolder } from "../../cli/run-rem.ts";
import { modelsFile } from "./films.ts";
import {
	type Studio,
	type StudioOptions,
	spawnStudio,
} from "./studio-process.ts";

const hasBrowser = "path" in findChromium();

/** Tests with a browser; vitest.config.ts warns where there is none. */
export const describeWithBrowser = describe.skipIf(!hasBrowser);

/** One browser for all tests of a describe block. */
export function useBrowser(): { readonly browser: Browser } {
	const holder = {} as { browser: Browser };
	beforeAll(async () => {
		holder.browser = await launchChromium();
	});
	afterAll(() => holder.browser?.close());
	return holder;
}

export type { Studio };

const models = temporaryFolder({ "models.ts": modelsFile });

/** Starts `rem studio` with the film models on the database, and waits for its URL. */
export function startStudio(
	databaseUrl: string,
	options: Omit<StudioOptions, "models"> = {},
): Promise<Studio> {
	return spawnStudio(databaseUrl, {
		models: join(models, "models.ts"),
		...options,
	});
}

/** A page of the studio, signed in, and what went wrong in it. */
export interface OpenPage {
	readonly page: Page;
	/** Errors of scripts, refused by the content's policy, or logged. */
	readonly problems: readonly string[];
	/** Opens a state: `search?q=…`. */
	go(state: string): Promise<void>;
	close(): Promise<void>;
}

export async function openPage(
	browser: Browser,
	studio: Studio,
	options: BrowserContextOptions = {},
): Promise<OpenPage> {
	const context = await browser.newContext({
		viewport: { width: 1280, height: 800 },
		reducedMotion: "reduce",
		timezoneId: "America/New_York",
		locale: "en-GB",
		...options,
	});
	context.setDefaultTimeout(60_000);
	const opened = await openTab(context);
	const { page } = opened;
	await page.goto(studio.url);
	await page.getByRole("heading", { level: 1 }).waitFor();
	return { ...opened, close: () => context.close() };
}

/** One more page of a browser that is signed in. */
export async function openTab(context: BrowserContext): Promise<OpenPage> {
	const page = await context.newPage();
	const problems: string[] = [];
	page.on("pageerror", (error) => problems.push(String(error)));
	page.on("console", (message) => {
		// The browser logs every answer of 400 and above; the page shows those.
		const isAnswer = message.text().startsWith("Failed to load resource");
		if (message.type() === "error" && !isAnswer) problems.push(message.text());
	});
	page.on("dialog", (dialog) => {
		problems.push(`dialog: ${dialog.message()}`);
		dialog.dismiss();
	});
	return {
		page,
		problems,
		go: async (state) => {
			await page.evaluate(changeAddress(`#/${state}`));
		},
		close: () => page.close(),
	};
}

/** Until the page was drawn for the new address. */
function changeAddress(hash: string): string {
	return `new Promise((done) => {
		const drawn = () => requestAnimationFrame(() => requestAnimationFrame(done));
		const before = location.hash;
		addEventListener("hashchange", drawn, { once: true });
		location.hash = ${JSON.stringify(hash)};
		if (location.hash === before) drawn();
	})`;
}

interface AxeResult {
	readonly violations: readonly {
		readonly id: string;
		readonly impact: string;
		readonly nodes: readonly { readonly html: string }[];
	}[];
}

/** What axe finds that is serious or critical, with the elements. */
export async function seriousFindings(page: Page): Promise<string[]> {
	// Evaluated by the debugger, which the policy of the page does not bind.
	await page.evaluate(axe.source);
	const { violations } = (await page.evaluate(
		'axe.run(document, { resultTypes: ["violations"] })',
	)) as AxeResult;
	return violations
		.filter(({ impact }) => impact === "serious" || impact === "critical")
		.map(
			({ id, nodes }) =>
				`${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`,
		);
}

/** How much wider than the window the page is: 0, if nothing scrolls sideways. */
export async function overflow(page: Page): Promise<number> {
	const wider = await page.evaluate(
		"document.documentElement.scrollWidth - window.innerWidth",
	);
	return Math.max(0, Number(wider));
}

/** Waits until nothing is loading any more. */
export async function settled(page: Page): Promise<void> {
	const pending = page.locator(".skeleton, [aria-busy=true]");
	while ((await pending.count()) > 0)
		await pending.first().waitFor({ state: "detached" });
}

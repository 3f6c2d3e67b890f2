import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe } from "vitest";
import { findChromium, launchChromium } from "../../../scripts/chromium.ts";
import { main, temporaryFolder } from "../../cli/run-rem.ts";
import { modelsFile, tenantId } from "./films.ts";

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

export interface Studio {
	/** With the token. */
	readonly url: string;
	/** `performance.now()` when the URL was there. */
	readonly printedAt: number;
	stop(): Promise<void>;
}

export interface StudioOptions {
	readonly args?: readonly string[];
	readonly env?: Readonly<Record<string, string>>;
}

const models = temporaryFolder({ "models.ts": modelsFile });

/** Starts `rem studio` of the film models on the database, and waits for its URL. */
export async function startStudio(
	databaseUrl: string,
	{ args = [], env = {} }: StudioOptions = {},
): Promise<Studio> {
	const { PATH = "" } = process.env;
	const child = spawn(
		process.execPath,
		[
			main,
			"studio",
			"--no-open",
			"--port",
			"0",
			"--url",
			databaseUrl,
			"--models",
			`${models}/models.ts`,
			"--tenant",
			tenantId,
			...args,
		],
		{
			cwd: tmpdir(),
			env: { PATH, EMBEDDING__PROVIDER: "local", ...env },
			stdio: ["ignore", "pipe", "pipe"],
		},
	);
	const url = await printedUrl(child);
	return {
		url,
		printedAt: performance.now(),
		stop: () => ended(child),
	};
}

function printedUrl(child: ChildProcess): Promise<string> {
	return new Promise((resolve, reject) => {
		let output = "";
		const read = (text: string) => {
			output += text;
			const url = /http:\/\/\S+token=\S+/.exec(output)?.[0];
			if (url !== undefined) resolve(url);
		};
		child.stdout?.setEncoding("utf8").on("data", read);
		child.stderr?.setEncoding("utf8").on("data", read);
		child.on("error", reject);
		child.on("close", (code) =>
			reject(new Error(`rem studio ended with ${code}: ${output}`)),
		);
	});
}

async function ended(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	await new Promise((resolve) => {
		child.on("close", resolve);
		child.kill("SIGTERM");
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
	await page.goto(studio.url);
	await page.getByRole("heading", { level: 1 }).waitFor();
	return {
		page,
		problems,
		go: async (state) => {
			await page.evaluate(
				`window.location.hash = ${JSON.stringify(`#/${state}`)}`,
			);
		},
		close: () => context.close(),
	};
}

const axePath = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

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
	await page.evaluate(await readFile(axePath, "utf8"));
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

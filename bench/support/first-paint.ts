import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { findChromium, launchChromium } from "../../scripts/chromium.ts";
import {
	type Studio,
	spawnStudio,
} from "../../test/proofs/studio/studio-process.ts";

/**
 * Milliseconds from the moment when `rem studio` has printed its address until
 * the browser has painted something of the page, by the page's own timing; of
 * so many starts of the command. Empty where there is no Chromium.
 */
export async function firstPaints(
	databaseUrl: string,
	models: string,
	starts: number,
): Promise<number[]> {
	if ("reason" in findChromium()) return [];
	const folder = mkdtempSync(join(tmpdir(), "rem-bench-"));
	const file = join(folder, "models.ts");
	writeFileSync(file, models);
	const browser = await launchChromium();
	try {
		const paints: number[] = [];
		for (let start = 0; start < starts; start++)
			paints.push(await firstPaint(browser, databaseUrl, file));
		return paints;
	} finally {
		await browser.close();
		rmSync(folder, { recursive: true, force: true });
	}
}

async function firstPaint(
	browser: Browser,
	databaseUrl: string,
	models: string,
): Promise<number> {
	// Nothing is cached in it; the browser itself runs already, as a user's does.
	const page = await browser.newPage();
	let studio: Studio | undefined;
	try {
		studio = await spawnStudio(databaseUrl, { models });
		await page.goto(studio.url);
		const paintedAt = Number(await page.evaluate(paintTime));
		return paintedAt - (performance.timeOrigin + studio.printedAt);
	} finally {
		await page.close();
		await studio?.stop();
	}
}

/** Of the first text or picture, in milliseconds since 1970. */
const paintTime = `new Promise((resolve) => {
	new PerformanceObserver((list) => {
		for (const { name, startTime } of list.getEntries())
			if (name === "first-contentful-paint")
				resolve(performance.timeOrigin + startTime);
	}).observe({ type: "paint", buffered: true });
})`;

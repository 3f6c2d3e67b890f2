import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

/** Where a Chromium is, or why there is none. CHROMIUM_PATH comes first. */
export function findChromium():
	| { readonly path: string }
	| { readonly reason: string } {
	const { CHROMIUM_PATH: given } = process.env;
	if (given !== undefined)
		return existsSync(given)
			? { path: given }
			: { reason: `CHROMIUM_PATH names ${given}, which does not exist` };
	const path = places.find((place) => existsSync(place));
	return path === undefined
		? { reason: "no Chromium is installed: apt-get install chromium" }
		: { path };
}

const places = [
	"/usr/bin/chromium",
	"/usr/bin/chromium-browser",
	"/usr/bin/google-chrome",
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** A browser without a window, that asks nothing of the network by itself. */
export async function launchChromium(): Promise<Browser> {
	const found = findChromium();
	if ("reason" in found) throw new Error(found.reason);
	return await chromium.launch({
		executablePath: found.path,
		headless: true,
		args: [
			"--no-sandbox",
			"--disable-gpu",
			"--disable-quic",
			"--no-first-run",
			"--disable-background-networking",
			"--disable-component-update",
			"--disable-sync",
		],
	});
}

// Makes the pictures of docs/studio.md: films and people in an embedded
// database, the built studio, and a browser that takes the walk-through.
//
//   REM_TEST_DATA=… npx jiti scripts/studio-screenshots.ts

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import {
	loadFilms,
	modelsFile,
	withService,
} from "../test/proofs/studio/films.ts";
import { spawnStudio } from "../test/proofs/studio/studio-process.ts";
import { launchChromium } from "./chromium.ts";

const images = fileURLToPath(new URL("../docs/images", import.meta.url));
const film = "Raiders of the Lost Ark (1981)";
const question = "historian chasing a holy relic";

interface Picture {
	readonly name: string;
	readonly state: string;
	readonly theme?: "light" | "dark";
	readonly width?: number;
	readonly height?: number;
	/** What to wait for, or to do, before it is taken. */
	readonly before?: (page: Page) => Promise<unknown>;
}

const ofFilm = `entities?table=films&filter=${encodeURIComponent(`name = '${film}'`)}`;
const search = (params: string) =>
	`search?q=${encodeURIComponent(question)}&${params}`;
const missing = search(
	`mode=recall&tables=films&limit=30&why=${encodeURIComponent(`films/${film}`)}`,
);

const verdict = (page: Page) => page.getByTestId("verdict").waitFor();
const openFilm = async (page: Page) => {
	await page.getByRole("link", { name: film }).click();
	await page.getByRole("region", { name: "Vectors" }).waitFor();
};

/** In their order: the walk-through repairs what its first pictures show. */
const pictures: readonly Picture[] = [
	{ name: "walk-1", state: search("mode=recall&tables=films&limit=30") },
	{ name: "walk-2", state: missing, before: verdict },
	{ name: "walk-3", state: ofFilm, before: openFilm },
	{
		name: "walk-4",
		state: missing,
		before: async (page) => {
			await page.getByRole("button", { name: "Embed it now" }).click();
			await page.getByText(/^Place \d+/).waitFor();
		},
	},
	{
		name: "search",
		state: search("mode=hybrid&limit=12"),
		width: 1440,
	},
	{
		name: "plan",
		state: search("mode=hybrid&limit=12&view=plan"),
	},
	{
		name: "compare",
		state: search("mode=hybrid&limit=12&compare=yes&b.mode=vector&b.limit=12"),
	},
	{ name: "entities", state: "entities?table=films&sort=name" },
	{ name: "entity", state: ofFilm, before: openFilm },
	{
		name: "graph",
		state: `graph?from=${encodeURIComponent(film)}`,
		theme: "dark",
		before: async (page) => {
			await page.getByRole("button", { name: "Harrison Ford, people" }).click();
			await page.getByRole("heading", { name: "Harrison Ford" }).waitFor();
		},
	},
	{
		name: "health",
		state: "health",
		before: (page) =>
			page.getByRole("region", { name: "Checks" }).locator("time").waitFor(),
	},
	{
		name: "console",
		state: `console?q=${encodeURIComponent("SQL films WHERE year = 1982 AND genres && ARRAY['Horror'] ORDER BY name LIMIT 8")}`,
		theme: "dark",
	},
	{
		name: "phone",
		state: search("mode=recall&tables=films&limit=10"),
		width: 360,
		height: 720,
	},
];

const folder = mkdtempSync(join(tmpdir(), "rem-studio-"));
try {
	await main();
} finally {
	rmSync(folder, { recursive: true, force: true });
}

async function main(): Promise<void> {
	const url = `file:${join(folder, "db")}`;
	const models = join(folder, "models.ts");
	writeFileSync(models, modelsFile);
	await loadFilms(url, Number.POSITIVE_INFINITY);
	await withService(url, loseVector);
	const studio = await spawnStudio(url, { models, args: ["--write"] });
	const browser = await launchChromium();
	mkdirSync(images, { recursive: true });
	try {
		for (const picture of pictures) await take(browser, studio.url, picture);
	} finally {
		await browser.close();
		await studio.stop();
	}
}

/** As after a load without embeddings whose queue was cleared. */
async function loseVector(service: {
	execute(text: string, values?: readonly unknown[]): Promise<unknown>;
}): Promise<void> {
	const ofFilm = "(SELECT id FROM films WHERE name = $1)";
	await service.execute(
		`DELETE FROM embeddings_films WHERE entity_id = ${ofFilm}`,
		[film],
	);
}

async function take(
	browser: Browser,
	url: string,
	{ name, state, theme = "light", width = 1200, height = 760, before }: Picture,
): Promise<void> {
	const page = await browser.newPage({
		viewport: { width, height },
		colorScheme: theme,
		reducedMotion: "reduce",
		timezoneId: "Europe/London",
		locale: "en-GB",
	});
	await page.goto(`${url}#/${state}`);
	await page.getByRole("heading", { level: 1 }).waitFor();
	await before?.(page);
	const pending = page.locator(".skeleton, [aria-busy=true]");
	while ((await pending.count()) > 0)
		await pending.first().waitFor({ state: "detached" });
	await page.screenshot({ path: join(images, `studio-${name}.png`) });
	await page.close();
}

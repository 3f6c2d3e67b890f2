import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";

const folder = fileURLToPath(
	new URL("../../../dist/studio/page", import.meta.url),
);
const html = readFileSync(join(folder, "index.html"), "utf8");
const assets = readdirSync(join(folder, "assets"));

test("the page is at most 150 KB compressed, without the graph", () => {
	const loaded = assets.filter((name) => html.includes(name));
	const bytes = loaded.reduce(
		(sum, name) =>
			sum + gzipSync(readFileSync(join(folder, "assets", name))).length,
		gzipSync(html).length,
	);
	expect(loaded.some((name) => name.endsWith(".js"))).toBe(true);
	expect(bytes).toBeLessThan(150 * 1024);
});

test("the graph's drawing is loaded when it is needed", () => {
	const drawing = assets.filter((name) => name.startsWith("drawing-"));
	expect(drawing).toHaveLength(1);
	expect(html).not.toContain("drawing-");
});

test("no script and no style is inline, and every address is relative", () => {
	expect(html).not.toMatch(/<script(?![^>]*\bsrc=)/);
	expect(html).not.toMatch(/<style|\sstyle=|\son\w+=/);
	const addresses = [...html.matchAll(/(?:src|href)="([^"]*)"/g)];
	expect(addresses.length).toBeGreaterThan(2);
	for (const [, address] of addresses)
		expect(address).toMatch(
			/^(?:\.\/assets\/.*|\.\/api\/bootstrap|#\/search)$/,
		);
});

test("every asset has a hash in its name", () => {
	for (const name of assets) expect(name).toMatch(/-[\w-]{8}\.\w+$/);
});

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

// README.md and docs/*.md as the tests read them; CONTRIBUTING.md describes how
// they are written.

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const pages = [
	"README.md",
	...readdirSync(join(root, "docs"))
		.filter((name) => name.endsWith(".md"))
		.map((name) => `docs/${name}`),
];

export interface Block {
	readonly text: string;
	/** The page's line that the block begins after. */
	readonly line: number;
	/** What stands in a text block right behind it. */
	readonly output: string | undefined;
}

/** The page's fenced blocks of exactly this info string. */
export function blocksOf(page: string, info: string): Block[] {
	const markdown = readFileSync(join(root, page), "utf8");
	const fence = new RegExp(
		`^\`\`\`${info}\\n([\\s\\S]*?)^\`\`\`\\n(?:\\s*^\`\`\`text\\n([\\s\\S]*?)^\`\`\`)?`,
		"gm",
	);
	return [...markdown.matchAll(fence)].map(
		({ 1: text = "", 2: output, index }) => ({
			text,
			line: markdown.slice(0, index).split("\n").length,
			output,
		}),
	);
}

/** `…` in the page stands for any text: what differs from run to run. */
export function expectText(
	actual: string,
	expected: string,
	place: string,
): void {
	const pattern = expected
		.trimEnd()
		.split("…")
		.map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"))
		.join("[\\s\\S]*?");
	if (new RegExp(`^${pattern}$`).test(actual.trimEnd())) return;
	expect(actual.trimEnd(), place).toBe(expected.trimEnd());
}

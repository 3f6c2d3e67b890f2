import { basename, extname } from "node:path";
import { Marked, type Token, type TokenizerExtension } from "marked";

/** The type of the edges that links of a text are. */
export const linkType = "links_to";

/** `[[key]]`, `[[key#heading]]` or `[[key|shown text]]`. */
const wikiLink: TokenizerExtension = {
	name: "wikiLink",
	level: "inline",
	start: (text) => text.indexOf("[["),
	tokenizer: (text) => {
		const found = /^\[\[([^[\]|#\n]+)(?:#[^[\]|\n]*)?(?:\|[^[\]\n]*)?\]\]/.exec(
			text,
		);
		if (found === null) return undefined;
		return { type: "wikiLink", raw: found[0], key: (found[1] ?? "").trim() };
	},
};

const markdown = new Marked({ extensions: [wikiLink] });

/**
 * What a Markdown text links to, each once, in its order: keys, and of links to
 * other Markdown files what `keyOf` makes of their path. Code is not looked at,
 * nor are links to the web.
 */
export function linkedKeys(
	text: string,
	keyOf: (path: string) => string = nameOf,
): string[] {
	if (!text.includes("](") && !text.includes("[[") && !text.includes("]:"))
		return [];
	const keys = new Set<string>();
	const visit = (token: Token) => {
		if (token.type === "wikiLink") keys.add(String(token.key));
		if (token.type !== "link") return;
		const path = filePath(String(token.href));
		if (path !== undefined) keys.add(keyOf(path));
	};
	markdown.walkTokens(markdown.lexer(text), visit);
	keys.delete("");
	return [...keys];
}

/** The path of a link to another Markdown file, without its anchor. */
function filePath(href: string): string | undefined {
	const [path = ""] = href.split(/[?#]/, 1);
	if (/^[a-z][a-z\d+.-]*:|^\/\//i.test(path)) return undefined;
	if (!/\.(?:md|markdown)$/i.test(path)) return undefined;
	try {
		return decodeURIComponent(path);
	} catch {
		return path;
	}
}

/** The name of a Markdown file, without its ending. */
export function nameOf(path: string): string {
	return basename(path, extname(path));
}

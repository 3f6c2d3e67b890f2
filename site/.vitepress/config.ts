import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, posix, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type DefaultTheme, defineConfig } from "vitepress";

// The pages are the repository's own Markdown, where it is; a link to what is no page
// (a folder, a source file) leads to the repository.

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const { homepage, description } = JSON.parse(
	readFileSync(join(root, "package.json"), "utf8"),
);
const repository = homepage.replace(/#.*/, "");

/** The lists of docs/README.md: its headings and links are the sidebar. */
function sidebar(): DefaultTheme.SidebarItem[] {
	const index = readFileSync(join(root, "docs/README.md"), "utf8");
	return index
		.split(/\n(?=[^\n]+:\n\n- )/)
		.slice(1)
		.map((section) => {
			const [heading = ""] = section.split(":\n", 1);
			const links = section.matchAll(/^- \[(.+)\]\((.+)\.md\)/gm);
			return {
				text: heading,
				collapsed: heading === "Design decisions",
				items: [...links].map(([, text = "", path = ""]) => ({
					text: text.replaceAll("`", ""),
					link: posix.join("/docs", path.replace(/README$/, "")),
				})),
			};
		});
}

function apiSidebar(): DefaultTheme.SidebarItem[] {
	const file = join(root, "site/api/typedoc-sidebar.json");
	return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [];
}

/** The target, on the site, of a link in a page of the repository. */
function siteLink(href: string, page: string): string {
	if (/^([a-z]+:|#|\/)/.test(href)) return href;
	const file = join(dirname(page), href.replace(/#.*/, ""));
	if (file.endsWith(".md") || !existsSync(file))
		return href.replace(/README\.md(?=$|#)/, "index.md");
	const kind = statSync(file).isDirectory() ? "tree" : "blob";
	return `${repository}/${kind}/main/${relative(root, file)}`;
}

/** As the repository's host makes it, so that a link works in both places. */
function headingAnchor(heading: string): string {
	return heading
		.toLowerCase()
		.replace(/[^\p{L}\p{N} _-]/gu, "")
		.replaceAll(" ", "-");
}

export default defineConfig({
	title: "remdb",
	description,
	srcDir: "..",
	outDir: "../dist-docs",
	cacheDir: "../node_modules/.cache/vitepress",
	srcExclude: ["{src,test,bench,chaos,scripts,samples,sql,assets}/**"],
	rewrites: {
		"README.md": "index.md",
		"site/api/:path(.*)": "api/:path",
		":folder(.*)/README.md": ":folder/index.md",
	},
	cleanUrls: true,
	metaChunk: true,
	markdown: {
		anchor: { slugify: headingAnchor },
		config(md) {
			md.core.ruler.push("site-links", ({ tokens, env }) => {
				for (const { children } of tokens)
					for (const token of children ?? []) {
						const href = token.attrGet("href");
						if (href) token.attrSet("href", siteLink(href, env.path));
					}
			});
		},
	},
	// The index of the search, which is loaded with the first search.
	vite: { build: { chunkSizeWarningLimit: 2_000 } },
	themeConfig: {
		nav: [
			{ text: "Guide", link: "/docs/" },
			{ text: "API", link: "/api/" },
			{ text: "Changes", link: "/CHANGELOG" },
		],
		sidebar: { "/api/": apiSidebar(), "/": sidebar() },
		search: { provider: "local" },
		socialLinks: [{ icon: "github", link: repository }],
		outline: [2, 3],
	},
});

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

/**
 * The page as dist/studio/page: one script and one style sheet with hashes in their
 * names, and the graph, which is loaded when its page is opened. All addresses
 * are relative, so that it can be mounted under any path; nothing is inline,
 * so that the page's policy can forbid it.
 */
export default defineConfig({
	root: fileURLToPath(new URL(".", import.meta.url)),
	base: "./",
	publicDir: false,
	oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
	plugins: [themeFirst()],
	build: {
		outDir: fileURLToPath(new URL("../dist/studio/page", import.meta.url)),
		emptyOutDir: true,
		assetsInlineLimit: 0,
		modulePreload: { polyfill: false },
		cssCodeSplit: false,
		target: "es2022",
		cssTarget: ["chrome123", "firefox120", "safari17.5"],
		reportCompressedSize: false,
	},
});

/** A script that is no module runs before the first paint: vite adds none by itself. */
function themeFirst(): Plugin {
	const name = "theme-first.js";
	const file = new URL(`src/${name}`, import.meta.url);
	return {
		name: "theme-first",
		apply: "build",
		buildStart() {
			const source = readFileSync(file, "utf8").replace(/^\s*\/\/.*\n/gm, "");
			this.emitFile({ type: "asset", name, source });
		},
		transformIndexHtml: {
			order: "post",
			handler: (_, { bundle = {} }) =>
				Object.values(bundle)
					.filter((output) => output.type === "asset")
					.filter(({ names }) => names.includes(name))
					.map(({ fileName }) => ({
						tag: "script",
						attrs: { src: `./${fileName}` },
						injectTo: "head",
					})),
		},
	};
}

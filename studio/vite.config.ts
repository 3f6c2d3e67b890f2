import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

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

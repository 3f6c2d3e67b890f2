import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { packageFile } from "../../util/package-file.ts";
import { HttpProblem } from "./problem.ts";

/** Nothing but the studio's own files runs, and nothing may show it in a frame. */
const policy = [
	"default-src 'none'",
	"script-src 'self'",
	"style-src 'self'",
	"img-src 'self' data:",
	"font-src 'self'",
	"connect-src 'self'",
	"base-uri 'none'",
	"form-action 'none'",
	"frame-ancestors 'none'",
].join("; ");

/** Of every response. */
export const securityHeaders: Readonly<Record<string, string>> = {
	"content-security-policy": policy,
	"x-content-type-options": "nosniff",
	"x-frame-options": "DENY",
	"referrer-policy": "no-referrer",
	"cross-origin-opener-policy": "same-origin",
	"cross-origin-resource-policy": "same-origin",
	"cache-control": "no-store",
};

const types: Readonly<Record<string, string>> = {
	html: "text/html; charset=utf-8",
	js: "text/javascript; charset=utf-8",
	css: "text/css; charset=utf-8",
	svg: "image/svg+xml",
	woff2: "font/woff2",
};

interface PageFile {
	readonly body: Uint8Array<ArrayBuffer>;
	readonly type: string;
}

/** The built page: its files by name, read once. */
export class Page {
	#files: Promise<ReadonlyMap<string, PageFile>> | undefined;

	/** Reads the files, so that the first request does not wait for them. */
	async load(): Promise<ReadonlyMap<string, PageFile>> {
		this.#files ??= readPage().catch((error: unknown) => {
			this.#files = undefined;
			throw error;
		});
		return this.#files;
	}

	/** `""` is the document; `undefined`: there is no such file. */
	async answer(name: string): Promise<Response | undefined> {
		const files = await this.load();
		const file = files.get(name === "" ? "index.html" : name);
		if (file === undefined) return undefined;
		// Names of assets change with their content.
		const cache: Record<string, string> = name.startsWith("assets/")
			? { "cache-control": "private, max-age=31536000, immutable" }
			: {};
		return new Response(file.body, {
			headers: { "content-type": file.type, ...cache },
		});
	}
}

async function readPage(): Promise<Map<string, PageFile>> {
	const folder = packageFile("dist/studio/page");
	if (folder === undefined || !existsSync(join(folder, "index.html")))
		throw new HttpProblem(500, {
			code: "INTERNAL",
			message: "the studio's page is not among the package's files",
			hint: "npm run build makes it; a bundle must leave remdb external (docs/bundling.md)",
		});
	const files = new Map<string, PageFile>();
	const entries = await readdir(folder, {
		recursive: true,
		withFileTypes: true,
	});
	for (const entry of entries) {
		const path = join(entry.parentPath, entry.name);
		const type = types[entry.name.split(".").at(-1) ?? ""];
		if (!entry.isFile() || type === undefined) continue;
		const name = relative(folder, path).replaceAll("\\", "/");
		files.set(name, { body: new Uint8Array(await readFile(path)), type });
	}
	return files;
}

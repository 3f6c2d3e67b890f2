// Whether dist/ is what a build of the present sources wrote: .ci/run comes to a build four
// times, by `npm run quickstart`, `npm test`, `npm run compat` and `npm run proofs`.
import { createHash } from "node:crypto";
import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

const sources = [
	"src",
	"studio",
	"scripts/build.mjs",
	"scripts/build-record.mjs",
	"scripts/published-types.mjs",
	"tsconfig.json",
	"tsconfig.build.json",
	"package.json",
	"package-lock.json",
];

/** What a build writes. */
const written = ["dist", "assets"];

/** Beside the packages that the build uses: it goes with them. */
const recordPath = (root) => join(root, "node_modules/.cache/remdb-build");

export function isBuilt(root) {
	const path = recordPath(root);
	return existsSync(path) && readFileSync(path, "utf8") === contentOf(root);
}

export function recordBuild(root) {
	const path = recordPath(root);
	mkdirSync(dirname(path), { recursive: true });
	writeFileSync(path, contentOf(root));
}

export function forgetBuild(root) {
	rmSync(recordPath(root), { force: true });
}

export function hashOfSources(root) {
	return hashOf(root, sources);
}

function contentOf(root) {
	return hashOf(root, [...sources, ...written]);
}

function hashOf(root, names) {
	const hash = createHash("sha256").update(process.version);
	for (const name of names)
		for (const path of filesOf(join(root, name)))
			hash.update(`${path}\0`).update(readFileSync(path)).update("\0");
	return hash.digest("hex");
}

function filesOf(path) {
	if (!existsSync(path)) return [];
	if (!statSync(path).isDirectory()) return [path];
	return readdirSync(path, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath ?? entry.path, entry.name))
		.sort();
}

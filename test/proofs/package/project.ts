import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll } from "vitest";

export const run = promisify(execFile);
export const root = fileURLToPath(new URL("../../..", import.meta.url));
const programs = fileURLToPath(new URL("programs", import.meta.url));
export const manifest = JSON.parse(
	readFileSync(join(root, "package.json"), "utf8"),
);

/** A project of a user, in a folder with a space in its name. */
export interface Project {
	readonly folder: string;
	/** The packed package. */
	readonly tarball: string;
	/** What npm printed on stderr when it installed the package. */
	readonly warnings: string;
}

/** Installs the packed package and zod, nothing else, into an empty project. */
export function usersProject(): Project {
	const folder = mkdtempSync(join(tmpdir(), "rem package-"));
	const project = { folder, tarball: "", warnings: "" };
	afterAll(() => rmSync(folder, { recursive: true, force: true }));
	beforeAll(async () => {
		const { stdout } = await npm(
			root,
			"pack",
			"--ignore-scripts",
			"--json",
			"--pack-destination",
			folder,
		);
		const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
		project.tarball = join(folder, basename(filename));
		await cp(programs, join(folder, "programs"), { recursive: true });
		await npm(folder, "init", "--yes");
		await npm(folder, "pkg", "set", "type=module");
		const { stderr } = await npm(
			folder,
			"install",
			"--no-audit",
			"--no-fund",
			"--prefer-offline",
			project.tarball,
			`zod@${manifest.devDependencies.zod}`,
		);
		project.warnings = stderr;
	}, 180_000);
	return project;
}

/** Runs npm as a user's shell would, without the variables of the npm that runs this. */
export function npm(cwd: string, ...args: readonly string[]) {
	const env = Object.fromEntries(
		Object.entries(process.env).filter(
			([name]) =>
				!/^(npm_(package|lifecycle|command)|INIT_CWD|NODE_ENV)/.test(name),
		),
	);
	return run("npm", args, { cwd, env, maxBuffer: 64 * 1024 * 1024 });
}

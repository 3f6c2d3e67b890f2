import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../../cli/run-rem.ts";
import { manifest, npm, usersProject } from "./project.ts";

// What a newcomer does: an empty folder, the package, `rem init`, and the
// project's own scripts.

const project = usersProject();

describe.each([
	["ts", ["npm init --yes"]],
	["js", ["npm init --yes"]],
	["ts", []],
	["js", []],
] as const)("rem init in %s, behind %j", (language, before) => {
	test("builds, passes its own test, migrates and lists", async () => {
		const folder = temporaryFolder();
		const run = (...args: readonly string[]) => npm(folder, ...args);
		if (before.length > 0) await run("init", "--yes");
		const install = ["install", "--no-audit", "--no-fund", "--prefer-offline"];
		await run(...install, project.tarball);
		const rem = (...args: readonly string[]) =>
			run("exec", "--offline", "--", "rem", ...args);
		await rem("init", "--language", language, "--yes");
		const { devDependencies } = manifest;
		// The releases of this repository: npm has them in its cache.
		for (const name of ["typescript", "@types/node"])
			if (language === "ts")
				await run(
					"pkg",
					"set",
					`devDependencies.${name}=${devDependencies[name]}`,
				);
		await run(...install);
		const { scripts } = JSON.parse(
			readFileSync(join(folder, "package.json"), "utf8"),
		);
		expect(Object.keys(scripts)).toContain("migrate");
		if (language === "ts") await run("run", "build");
		const { stdout } = await run("test");
		expect(stdout).toMatch(/pass 1/);
		await run("run", "migrate");
		const listed = await rem("list", "notes", "--models", "models", "--json");
		expect(JSON.parse(listed.stdout)).toMatchObject({ rows: [] });
	}, 240_000);
});

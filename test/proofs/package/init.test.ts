import { expect, test } from "vitest";
import { temporaryFolder } from "../../cli/run-rem.ts";
import { manifest, npm, usersProject } from "./project.ts";

// What a newcomer does: an empty folder, the package, `rem init`, and the
// project's own scripts.

const project = usersProject();

test.each(["ts", "js"] as const)(
	"rem init in %s, behind npm init: builds, passes its own test, migrates and lists",
	async (language) => {
		const folder = temporaryFolder();
		const run = (...args: readonly string[]) => npm(folder, ...args);
		await run("init", "--yes");
		// The releases of this repository: npm has them in its cache.
		const { devDependencies } = manifest;
		const compilers =
			language === "ts"
				? ["typescript", "@types/node"].map(
						(name) => `${name}@${devDependencies[name]}`,
					)
				: [];
		const install = ["install", "--no-audit", "--no-fund", "--prefer-offline"];
		await run(...install, project.tarball, ...compilers);
		const rem = (...args: readonly string[]) =>
			run("exec", "--offline", "--", "rem", ...args);
		await rem("init", "--language", language, "--yes");
		await run(...install);
		if (language === "ts") await run("run", "build");
		const { stdout } = await run("test");
		expect(stdout).toMatch(/pass 1/);
		await run("run", "migrate");
		const listed = await rem("list", "notes", "--models", "models", "--json");
		expect(JSON.parse(listed.stdout)).toMatchObject({ rows: [] });
	},
	600_000,
);

import { execFile } from "node:child_process";
import {
	mkdirSync,
	readdirSync,
	readFileSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { nodeArguments } from "../support/child-arguments.ts";
import { rem, temporaryFolder } from "./run-rem.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);
/** The newest of those that `rem init` asks for; test/proofs/package has an older one. */
const compiler = join(root, "node_modules/typescript-7/bin/tsc");

async function init(folder: string, ...args: readonly string[]) {
	const { code, stdout, stderr } = await rem(["init", ...args, "--json"], {
		cwd: folder,
	});
	return { code, stderr, ...(stdout === "" ? {} : JSON.parse(stdout)) };
}

/** The packages that the project names, from this clone. */
function link(folder: string): void {
	const modules = join(folder, "node_modules");
	mkdirSync(join(modules, "@types"), { recursive: true });
	symlinkSync(root, join(modules, "remdb"));
	for (const name of ["zod", "@types/node"])
		symlinkSync(join(root, "node_modules", name), join(modules, name));
	symlinkSync(dirname(dirname(compiler)), join(modules, "typescript"));
}

const readText = (folder: string, path: string) =>
	readFileSync(join(folder, path), "utf8");
const readPackage = (folder: string) =>
	JSON.parse(readText(folder, "package.json"));

test.each(["ts", "js"])(
	"a project in %s builds, and passes its own test",
	async (language) => {
		const folder = temporaryFolder();
		const { code, written, left } = await init(folder, "-l", language);
		expect({ code, left }).toEqual({ code: 0, left: [] });
		expect(written).toContain(`models/note.${language}`);
		link(folder);
		const { scripts } = readPackage(folder);
		for (const command of scripts.test.split(" && ")) {
			const [program = "", ...args] = command.split(" ");
			await run(
				process.execPath,
				program === "tsc" ? [compiler, ...args] : [...nodeArguments, ...args],
				{ cwd: folder, env: { PATH: process.env.PATH ?? "" } },
			);
		}
		const [, ...migrate] = scripts.migrate.split(" ");
		const options = { cwd: folder };
		expect(await rem(migrate, options)).toMatchObject({ code: 0 });
		expect(
			await rem(["list", "notes", "--models", "models"], options),
		).toMatchObject({ code: 0, stdout: "" });
	},
);

test("what is there stays as it is, and is named", async () => {
	const folder = temporaryFolder({
		"package.json": '{"name":"mine","scripts":{"test":"mine"},"other":[1]}',
		".gitignore": "dist\n.rem",
		"tsconfig.json": "{}",
	});
	mkdirSync(join(folder, "models"));
	writeFileSync(join(folder, "models/note.ts"), "// mine");
	const { code, written, left } = await init(folder, "--yes");
	expect(code).toBe(0);
	expect(left).toEqual([
		"models/note.ts",
		"tsconfig.json",
		"package.json: scripts.test",
	]);
	expect(written).toContain("package.json: scripts.migrate");
	expect(readText(folder, "models/note.ts")).toBe("// mine");
	expect(readText(folder, "tsconfig.json")).toBe("{}");
	expect(readText(folder, ".gitignore")).toBe(
		"dist\n.rem\n.env\nnode_modules/\n",
	);
	expect(readPackage(folder)).toMatchObject({
		name: "mine",
		other: [1],
		scripts: { test: "mine", build: "tsc" },
	});
});

test("in what npm init wrote, its tests are run, as modules of their own", async () => {
	const placeholder = 'echo \\"Error: no test specified\\" && exit 1';
	for (const type of ["", '"type":"commonjs",']) {
		const folder = temporaryFolder({
			"package.json": `{"name":"app",${type}"scripts":{"test":"${placeholder}"}}`,
		});
		const { written, left } = await init(folder, "-l", "js");
		expect(left).toEqual([]);
		expect(written).toContain("models/note.mjs");
		const { scripts } = readPackage(folder);
		expect(scripts.test).toBe("node --test test/notes.test.mjs");
		link(folder);
		await run(
			process.execPath,
			[...nodeArguments, "--test", "test/notes.test.mjs"],
			{ cwd: folder, env: { PATH: process.env.PATH ?? "" } },
		);
	}
});

test("again, it changes nothing", async () => {
	const folder = temporaryFolder();
	await init(folder, "-l", "js");
	const before = readText(folder, "package.json");
	const { written } = await init(folder, "-l", "js");
	expect(written).toEqual([]);
	expect(readText(folder, "package.json")).toBe(before);
});

test("a package.json that is none stops it before anything is written", async () => {
	const folder = temporaryFolder({ "package.json": "{" });
	const { code, stderr } = await init(folder);
	expect(code).toBe(1);
	expect(JSON.parse(stderr).error.message).toContain("package.json");
	expect(readdirSync(folder)).toEqual(["package.json"]);
});

test("an unknown language is wrong usage", async () => {
	const folder = temporaryFolder();
	expect(await init(folder, "-l", "python")).toMatchObject({ code: 2 });
	expect(readdirSync(folder)).toEqual([]);
});

import { readFileSync, writeFileSync } from "node:fs";
import { cp, mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import {
	checkPackage,
	createPackageFromTarballData,
} from "@arethetypeswrong/core";
import { publint } from "publint";
import { beforeAll, describe, expect, test } from "vitest";
import { root, run, usersProject } from "./project.ts";

const require = createRequire(import.meta.url);
const project = usersProject();

// The same program as an ES module, as a .cts file, and in a package without a type.
const esModule = "programs/consumer.ts";
const commonJs = ["commonjs/consumer.ts", "commonjs/consumer.cts"];
const mixed = ["programs/mixed/passes.mts", "programs/mixed/takes.cts"];

beforeAll(async () => {
	const folder = join(project.folder, "commonjs");
	await mkdir(folder);
	writeFileSync(join(folder, "package.json"), "{}");
	for (const name of ["consumer.ts", "consumer.cts"])
		await cp(join(project.folder, esModule), join(folder, name));
});

const bothKinds = [esModule, ...commonJs, ...mixed];
const browser = { types: [] };
const node = {
	lib: ["es2022"],
	types: ["node"],
	typeRoots: [join(root, "node_modules/@types")],
};
const modes = [
	{ module: "node16", resolution: "node16", files: bothKinds, of: node },
	{ module: "nodenext", resolution: "nodenext", files: bothKinds, of: browser },
	{ module: "esnext", resolution: "bundler", files: [esModule], of: browser },
	{ module: "preserve", resolution: "bundler", files: commonJs, of: node },
	{ module: "commonjs", resolution: "node10", files: commonJs, of: browser },
];
const compilers = [
	"typescript-5.4",
	"typescript-5.9",
	"typescript",
	"typescript-7",
];
// TypeScript 6 calls node10 deprecated, and 7 has removed it.
const cases = compilers.flatMap((compiler) =>
	modes
		.filter(
			({ resolution }) =>
				compiler !== "typescript-7" || resolution !== "node10",
		)
		.map((mode) => ({ compiler, ...mode })),
);

// @types/pg is not installed in the project, and @types/node only where it is named.
test.each(cases)(
	"the published types compile without skipLibCheck: $compiler, $module, $resolution",
	async ({ compiler, module, resolution, files, of }) => {
		const tsc = join(
			dirname(require.resolve(`${compiler}/package.json`)),
			"bin/tsc",
		);
		const config = join(project.folder, `tsconfig-${compiler}-${module}.json`);
		writeFileSync(
			config,
			JSON.stringify({
				compilerOptions: {
					module,
					moduleResolution: resolution,
					...(compiler === "typescript" && resolution === "node10"
						? { ignoreDeprecations: "6.0" }
						: {}),
					target: "es2022",
					strict: true,
					exactOptionalPropertyTypes: true,
					// zod's own types need it where CommonJS is written.
					esModuleInterop: true,
					skipLibCheck: false,
					noEmit: true,
					...of,
				},
				files,
			}),
		);
		const { stdout } = await run(process.execPath, [tsc, "-p", config], {
			cwd: project.folder,
		}).catch((error: { stdout: string }) => error);
		expect(stdout).toBe("");
	},
);

describe("what checks packages finds nothing wrong", () => {
	const tarball = () => new Uint8Array(readFileSync(project.tarball));

	test("with the types: arethetypeswrong", async () => {
		const checked = await checkPackage(createPackageFromTarballData(tarball()));
		expect(checked).toMatchObject({
			types: { kind: "included" },
			problems: [],
		});
	});

	test("with the manifest: publint", async () => {
		const { messages } = await publint({
			pack: { tarball: tarball().buffer },
			strict: true,
		});
		expect(messages).toEqual([]);
	});
});

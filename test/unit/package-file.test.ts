import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { packageFile } from "../../src/util/package-file.ts";

test("a file of the package is found from the package's own folder", () => {
	for (const path of ["package.json", "assets/semantic-v1.bin", "samples"])
		expect(existsSync(packageFile(path) ?? "")).toBe(true);
	expect(packageFile("package.json")).toMatch(/[/\\]package\.json$/);
});

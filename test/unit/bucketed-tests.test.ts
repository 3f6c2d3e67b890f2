import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import {
	bucketedProofs,
	inOneBucket,
	withoutBuckets,
} from "../support/bucketed-tests.ts";

const files = readdirSync(
	fileURLToPath(new URL("../engine", import.meta.url)),
).map((name) => name.replace(/\.test\.ts$/, ""));

test("every file that does not run with several buckets exists, and has one reason", () => {
	const listed = [...Object.keys(inOneBucket), ...Object.keys(withoutBuckets)];
	expect(listed.filter((name) => !files.includes(name))).toEqual([]);
	expect(new Set(listed).size).toBe(listed.length);
	for (const reason of Object.values({ ...inOneBucket, ...withoutBuckets }))
		expect(reason.length).toBeGreaterThan(10);
});

test("the proofs run files that run with several buckets", () => {
	for (const name of bucketedProofs) {
		expect(files).toContain(name);
		expect({ ...inOneBucket, ...withoutBuckets }).not.toHaveProperty(name);
	}
});

/**
 * Writes the figures of runs of the benchmark into docs/benchmarks.md.
 *
 *     npm run bench -- --json=figures.json
 *     npm run bench:page -- figures.json
 */
import { readFileSync, writeFileSync } from "node:fs";
import {
	type BenchRun,
	withFigures,
} from "../bench/support/benchmarks-page.ts";

const page = "docs/benchmarks.md";
const files = process.argv.slice(2);
if (files.length === 0)
	throw new Error("name the JSON files of one run or more");
const runs = files.map(
	(file) => JSON.parse(readFileSync(file, "utf8")) as BenchRun,
);
writeFileSync(page, withFigures(readFileSync(page, "utf8"), runs));

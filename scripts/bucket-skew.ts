/**
 * How evenly tenants of unequal size fill buckets, and buckets nodes.
 *
 *     npx jiti scripts/bucket-skew.ts [--tenants 100000] [--exponents 0.6,0.8,1] [--trials 20]
 *
 * The sizes follow Zipf's law: the tenant of rank r is 1 / r^exponent as large as
 * the largest. Each trial has other names of tenants, assigned by the hash that the
 * library uses; the buckets are then placed on nodes, the largest first, each on
 * the node with the fewest rows.
 */
import { parseArgs } from "node:util";
import { bucketOf } from "../src/buckets/bucket-of.ts";

const bucketCounts = [16, 64, 256, 1024];
const nodeCounts = [2, 4, 8, 16];

/** Medians over the trials, each relative to an even share. */
interface Skew {
	readonly largestTenant: number;
	readonly largestBucket: number;
	readonly largestNode: readonly number[];
}

/** Share of all rows of each tenant, the largest first. */
function zipfShares(tenants: number, exponent: number): number[] {
	const sizes = Array.from(
		{ length: tenants },
		(_, at) => 1 / (at + 1) ** exponent,
	);
	const total = sum(sizes);
	return sizes.map((size) => size / total);
}

function bucketShares(
	shares: readonly number[],
	buckets: number,
	trial: number,
): number[] {
	const found = new Array<number>(buckets).fill(0);
	for (const [rank, share] of shares.entries()) {
		const bucket = bucketOf(`tenant-${trial}-${rank}`, buckets);
		found[bucket] = (found[bucket] ?? 0) + share;
	}
	return found;
}

/** The share of the fullest node. */
function largestNode(buckets: readonly number[], nodes: number): number {
	const loads = new Array<number>(nodes).fill(0);
	for (const share of buckets.toSorted((a, b) => b - a)) {
		const emptiest = loads.indexOf(Math.min(...loads));
		loads[emptiest] = (loads[emptiest] ?? 0) + share;
	}
	return Math.max(...loads);
}

function skewOf(
	shares: readonly number[],
	buckets: number,
	trials: number,
): Skew {
	const filled = Array.from({ length: trials }, (_, trial) =>
		bucketShares(shares, buckets, trial),
	);
	return {
		largestTenant: (shares[0] ?? 0) * buckets,
		largestBucket: median(filled.map((each) => Math.max(...each) * buckets)),
		largestNode: nodeCounts.map((nodes) =>
			median(filled.map((each) => largestNode(each, nodes) * nodes)),
		),
	};
}

function sum(values: readonly number[]): number {
	return values.reduce((total, value) => total + value, 0);
}

function median(values: readonly number[]): number {
	return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

function print(tenants: number, exponent: number, trials: number): void {
	const shares = zipfShares(tenants, exponent);
	console.log(
		`\n${tenants.toLocaleString("en")} tenants, exponent ${exponent}: the largest has ${((shares[0] ?? 0) * 100).toFixed(2)} % of the rows\n`,
	);
	console.log(
		`| buckets | largest tenant ÷ mean bucket | largest bucket ÷ mean | fullest node ÷ mean, of ${nodeCounts.join(" / ")} |`,
	);
	console.log("| --- | --- | --- | --- |");
	for (const buckets of bucketCounts) {
		const { largestTenant, largestBucket, largestNode } = skewOf(
			shares,
			buckets,
			trials,
		);
		console.log(
			`| ${buckets} | ${largestTenant.toFixed(2)} | ${largestBucket.toFixed(2)} | ${largestNode.map((value) => value.toFixed(2)).join(" / ")} |`,
		);
	}
}

const { values } = parseArgs({
	options: {
		tenants: { type: "string", default: "100000" },
		exponents: { type: "string", default: "0.6,0.8,1" },
		trials: { type: "string", default: "20" },
	},
});
for (const exponent of values.exponents.split(",").map(Number))
	print(Number(values.tenants), exponent, Number(values.trials));

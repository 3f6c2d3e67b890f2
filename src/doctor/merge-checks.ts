import { type Check, some } from "./check.ts";

/** The checks of a bucket. */
export interface BucketChecks {
	readonly bucket: string;
	readonly checks: readonly Check[];
}

interface Group {
	readonly check: Check;
	readonly buckets: string[];
}

/**
 * The checks of all buckets, in the order of the first bucket: for each check, one
 * line for the buckets without problems, and one for each problem, with its buckets.
 */
export function mergeChecks(all: readonly BucketChecks[]): Check[] {
	const names = new Set(
		all.flatMap(({ checks }) => checks.map(({ name }) => name)),
	);
	return [...names].flatMap((name) => {
		const groups = new Map<string, Group>();
		for (const { bucket, checks } of all)
			for (const check of checks) {
				if (check.name !== name) continue;
				const key = JSON.stringify([check.state, problemOf(check)]);
				const group = groups.get(key) ?? { check, buckets: [] };
				groups.set(key, group);
				group.buckets.push(bucket);
			}
		return [...groups.values()].map((group) => lineOf(group, all.length));
	});
}

/** Without the text of a check that is ok: its figures differ in each bucket. */
function problemOf({ state, found, remedy }: Check): unknown {
	return state === "ok" ? undefined : [found, remedy];
}

function lineOf({ check, buckets }: Group, count: number): Check {
	if (count === 1) return check;
	const [first = ""] = buckets;
	const place =
		check.state === "ok"
			? buckets.length === 1
				? first
				: `${buckets.length} buckets, the first`
			: buckets.length === count
				? `all ${count} buckets`
				: some(buckets);
	return { ...check, found: `${place}: ${check.found}` };
}

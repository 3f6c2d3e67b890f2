import type { ServiceCore } from "../core/service-core.ts";
import { RemError, withParts } from "../errors.ts";

/** The cores of all buckets: what the code that works over several of them needs. */
export interface BucketCores
	extends Pick<ServiceCore, "db" | "settings" | "registry" | "embedder"> {
	/** The schema of each bucket, by its number. */
	readonly schemas: readonly string[];
	/** The core of the bucket of that number. */
	at(number: number): ServiceCore;
	/** The cores of all buckets, in their order. */
	all(): readonly ServiceCore[];
	/** The cores that were created so far. */
	opened(): readonly ServiceCore[];
}

/**
 * Runs `work` in one bucket after the other, because it may open connections of its
 * own. Ends at the first failure, and names its bucket.
 */
export async function mapBuckets<T>(
	buckets: Pick<BucketCores, "all">,
	work: (core: ServiceCore) => Promise<T>,
): Promise<T[]> {
	const results: T[] = [];
	for (const core of buckets.all())
		results.push(await named(core, () => work(core)));
	return results;
}

export interface Failure {
	readonly bucket: string;
	readonly error: unknown;
}

/**
 * Runs `work` in every bucket, also after one has failed. Throws the first failure
 * at the end, with the names of all buckets that failed. A cancellation ends it at once.
 */
export async function mapEveryBucket<T>(
	buckets: Pick<BucketCores, "all">,
	work: (core: ServiceCore) => Promise<T>,
): Promise<T[]> {
	const results: T[] = [];
	const failures: Failure[] = [];
	for (const core of buckets.all())
		try {
			results.push(await work(core));
		} catch (error) {
			if (endsAll(error)) throw error;
			failures.push({ bucket: core.settings.schema, error });
		}
	throwAll(failures, `the other ${results.length} buckets are done`);
	return results;
}

/** Whether the caller cancelled the call, or the failure concerns all buckets. */
export function endsAll(error: unknown): boolean {
	return (
		!(error instanceof RemError) ||
		["CANCELLED", "CONNECTION_FAILED", "POOL_TIMEOUT"].includes(error.code)
	);
}

/** Throws the first failure, with the names of all buckets that failed. */
export function throwAll(failures: readonly Failure[], outcome: string): void {
	const [first] = failures;
	if (first === undefined) return;
	const { bucket, error } = first;
	const also = failures.slice(1).map((one) => one.bucket);
	throw inBucket(
		error,
		also.length === 0
			? `bucket ${bucket}`
			: `${failures.length} buckets (${[bucket, ...also].join(", ")}); the first`,
		outcome,
	);
}

/** Adds the name of the bucket to what `work` throws. */
async function named<T>(
	{ settings }: ServiceCore,
	work: () => Promise<T>,
): Promise<T> {
	try {
		return await work();
	} catch (error) {
		throw inBucket(error, `bucket ${settings.schema}`);
	}
}

function inBucket(error: unknown, place: string, outcome?: string): unknown {
	if (!(error instanceof RemError)) return error;
	const hints = [error.hint, outcome].filter((one) => one !== undefined);
	return withParts(error, {
		message: `${place}: ${error.message}`,
		...(hints.length === 0 ? {} : { hint: hints.join("; ") }),
	});
}

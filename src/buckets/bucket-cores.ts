import type { ServiceCore } from "../core/service-core.ts";

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

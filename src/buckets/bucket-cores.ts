import type { ServiceCore } from "../core/service-core.ts";

/** The cores of all buckets, as what works over them needs them. */
export interface BucketCores
	extends Pick<ServiceCore, "db" | "settings" | "registry" | "embedder"> {
	/** By their numbers. */
	readonly schemas: readonly string[];
	/** The core of the bucket of that number. */
	at(number: number): ServiceCore;
	/** The cores of all buckets, in their order. */
	all(): readonly ServiceCore[];
	/** Those that were needed so far. */
	opened(): readonly ServiceCore[];
}

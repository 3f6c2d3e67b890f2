import type { ServiceCore } from "../core/service-core.ts";
import { Buckets } from "./buckets.ts";

/** The core that has the rows of a tenant, by default of the default one: with buckets, that of its bucket. */
export function coreOfTenant(
	core: ServiceCore,
	tenantId: string | undefined,
): ServiceCore {
	return core instanceof Buckets ? core.of(tenantId) : core;
}

import type { ServiceCore } from "../core/service-core.ts";
import type { Registry } from "../models/registry.ts";

/** A service, whatever its models: what a repository is opened on. */
export interface AnyService {
	/** The entities the service knows. */
	readonly registry: Registry;
	/** @internal not part of the published types: it would bring the driver's with it */
	readonly core: ServiceCore;
}

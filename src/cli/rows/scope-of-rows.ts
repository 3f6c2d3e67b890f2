import type { ServiceScope } from "../../index.ts";
import type { Entity } from "../../models/entity.ts";
import type { AnyService } from "../open-service.ts";
import type { ScopeOptions } from "../options.ts";

/** The service for the rows of a tenant, the default one where none is named, and optionally of a user. */
export function scopeOfRows(
	service: AnyService,
	{ tenant, user }: ScopeOptions,
): ServiceScope<readonly Entity[]> {
	return service.scope({
		tenantId: service.core.tenant(tenant),
		...(user === undefined ? {} : { userId: user }),
	});
}

import type { Entity } from "../models/entity.ts";
import type { Registry } from "../models/registry.ts";
import { checkScope } from "../query/scope.ts";
import type { BoundScope } from "../verbs/bound-scope.ts";
import { VerbMethods } from "../verbs/verb-methods.ts";
import { type Verbs, verbs } from "../verbs/verbs.ts";
import { type AnyService, Repository } from "./repository.ts";

/**
 * The service for one tenant, and optionally one user: the same verbs,
 * bound. A call that names another tenant or user is `TENANT_MISMATCH`.
 */
export interface ServiceScope<M extends readonly Entity[]>
	extends BoundScope,
		Verbs<M> {
	/** The entities of the service. */
	readonly registry: Registry;
	/** One entity's rows of the tenant, and of a user's scope that user's and shared ones. */
	repository<E extends M[number]>(entity: E): Repository<E>;
}

/** Throws `VALIDATION` unless rows can have such a tenant and user. */
export function openScope<M extends readonly Entity[]>(
	service: AnyService,
	{ tenantId, userId }: BoundScope,
): ServiceScope<M> {
	const scope: BoundScope = {
		tenantId,
		...(userId === undefined ? {} : { userId }),
	};
	checkScope(scope);
	const bound = new VerbMethods<M>(service.core, scope);
	// Functions of their own, which a caller may take out of the object.
	const functions = verbs.map(({ name }) => [
		name,
		bound[name as keyof Verbs<M>].bind(bound),
	]);
	return {
		...scope,
		...Object.fromEntries(functions),
		registry: service.registry,
		repository: (entity: M[number]) => new Repository(entity, service, scope),
	} as ServiceScope<M>;
}

import { optionalOptions } from "../calls/arguments.ts";
import { async, publicMethod, traced } from "../calls/public-methods.ts";
import { RemError } from "../errors.ts";
import { tenantName } from "../models/checks.ts";
import type { Entity } from "../models/entity.ts";
import type { Registry } from "../models/registry.ts";
import { checkScope } from "../query/scope.ts";
import type { ForgetOptions, ForgetReport } from "../store/forget-rows.ts";
import {
	type BoundScope,
	boundTo,
	refuseOthers,
} from "../verbs/bound-scope.ts";
import { VerbMethods } from "../verbs/verb-methods.ts";
import { type Verbs, verbs } from "../verbs/verbs.ts";
import { forgetChecks, forgetIn } from "./open-core.ts";
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
	/**
	 * Erases everything of the scope's user for good, or without one of the whole
	 * tenant, as `service.forget` does; shared rows stay where there is a user.
	 *
	 * @example
	 * const { rows } = await service.scope({ tenantId: "acme-corp", userId: "user123" }).forget()
	 */
	forget(options?: Partial<ForgetOptions>): Promise<ForgetReport>;
}

/** @internal What a scope's `forget` takes. */
export const scopeForget = traced(
	async(
		optionalOptions<Partial<ForgetOptions>>({
			...forgetChecks,
			tenantId: tenantName,
		}),
	),
	{ operation: "forget" },
);

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
		forget: publicMethod(
			"forget",
			{
				...scopeForget,
				before: (_, [options]) => refuseOthers(scope, options),
			},
			(options: Partial<ForgetOptions> = {}) =>
				forgetOwner(service, boundTo(scope, options)),
		),
		repository: (entity: M[number]) => new Repository(entity, service, scope),
	} as ServiceScope<M>;
}

/** Shared rows belong to all users of the tenant: they are erased with it. */
async function forgetOwner(
	{ core }: AnyService,
	options: Omit<ForgetOptions, "userId"> & BoundScope,
): Promise<ForgetReport> {
	const { userId, ...more } = options;
	if (userId === null)
		throw new RemError("VALIDATION", "a scope of shared rows has no user", {
			hint: "forget in the scope of a user, or of the whole tenant",
		});
	return forgetIn(core, userId === undefined ? more : { ...more, userId });
}

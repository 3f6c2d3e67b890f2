import type { Entity } from "../models/entity.ts";
import { checkScope } from "../query/scope.ts";
import type { AnyService } from "./any-service.ts";
import { takeArguments } from "../calls/arguments.ts";
import { scopedQuery, scopedVerbs } from "./arguments/service-methods.ts";
import { type BoundScope, boundTo, refuseOthers } from "../verbs/bound-scope.ts";
import { Repository } from "./repository.ts";

const verbs = Object.keys(scopedVerbs) as Verb[];

type Verb = keyof typeof scopedVerbs;
type AnyVerb = (options: object) => Promise<unknown>;

/** What a scope needs of the service. */
interface ScopedService extends AnyService, Readonly<Record<Verb, AnyVerb>> {
	query(text: string, options?: object): Promise<unknown>;
}

/**
 * The service as one tenant, and perhaps one user, sees it: the same verbs,
 * bound. A call that names another tenant or user is `TENANT_MISMATCH`.
 */
export interface ServiceScope<S, M extends readonly Entity[]>
	extends BoundScope {
	readonly batchUpsert: Of<S, "batchUpsert">;
	readonly lookupEntity: Of<S, "lookupEntity">;
	readonly lookupEntities: Of<S, "lookupEntities">;
	readonly fuzzySearch: Of<S, "fuzzySearch">;
	readonly vectorSearch: Of<S, "vectorSearch">;
	readonly hybridSearch: Of<S, "hybridSearch">;
	readonly traverse: Of<S, "traverse">;
	readonly link: Of<S, "link">;
	readonly unlink: Of<S, "unlink">;
	readonly query: Of<S, "query">;
	/** One entity's rows of the tenant, and of a user's scope that user's and shared ones. */
	repository<E extends M[number]>(entity: E): Repository<E>;
}

type Of<S, Name> = Name extends keyof S ? S[Name] : never;

/** Throws `VALIDATION` unless rows can have such a tenant and user. */
export function openScope<S, M extends readonly Entity[]>(
	service: S,
	{ tenantId, userId }: BoundScope,
): ServiceScope<S, M> {
	const scope: BoundScope = {
		tenantId,
		...(userId === undefined ? {} : { userId }),
	};
	checkScope(scope);
	const unbound = service as unknown as ScopedService;
	const bound = verbs.map((verb) => [
		verb,
		// Checked before it is bound: a list, or an object in the tenant's place,
		// must not be taken apart.
		async (...given: unknown[]) => {
			const [options] = takeArguments(verb, scopedVerbs[verb], given, () =>
				refuseOthers(scope, given[0]),
			);
			return unbound[verb].call(service, boundTo(scope, options as object));
		},
	]);
	return {
		...scope,
		...Object.fromEntries(bound),
		query: async (...given: unknown[]) => {
			const [text, options = {}] = takeArguments(
				"query",
				scopedQuery,
				given,
				() => refuseOthers(scope, given[1]),
			);
			return unbound.query(text as string, boundTo(scope, options as object));
		},
		repository: (entity: M[number]) => new Repository(entity, unbound, scope),
	} as ServiceScope<S, M>;
}

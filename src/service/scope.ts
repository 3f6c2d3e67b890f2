import type { Entity } from "../models/entity.ts";
import { checkScope } from "../query/scope.ts";
import type { AnyService } from "./any-service.ts";
import { type BoundScope, boundTo } from "./bound-scope.ts";
import { Repository } from "./repository.ts";

const verbs = [
	"batchUpsert",
	"lookupEntity",
	"lookupEntities",
	"fuzzySearch",
	"vectorSearch",
	"hybridSearch",
	"traverse",
	"link",
	"unlink",
] as const;

type Verb = (typeof verbs)[number];
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
		async (options: object) =>
			unbound[verb].call(service, boundTo(scope, options)),
	]);
	return {
		...scope,
		...Object.fromEntries(bound),
		query: async (text: string, options: object = {}) =>
			unbound.query(text, boundTo(scope, options)),
		repository: (entity: M[number]) => new Repository(entity, unbound, scope),
	} as ServiceScope<S, M>;
}

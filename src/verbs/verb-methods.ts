import { Buckets } from "../buckets/buckets.ts";
import { definePublic, publicMethod } from "../calls/public-methods.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { explainDrift } from "../store/explain-drift.ts";
import { elementAt, membersOf } from "../util/present.ts";
import {
	type BoundScope,
	boundTo,
	refuseMissingUser,
	refuseOthers,
} from "./bound-scope.ts";
import type { Models } from "./call-options.ts";
import type { BucketCaller, Verb } from "./verb.ts";
import { type Verbs, verbs } from "./verbs.ts";

/** An object whose methods are the verbs; with a scope, each call is about its tenant and user. */
class CallableVerbs {
	readonly #core: ServiceCore;
	readonly #scope: BoundScope | undefined;

	constructor(core: ServiceCore, scope?: BoundScope) {
		this.#core = core;
		this.#scope = scope;
	}

	static {
		for (const verb of verbs) {
			const { name, method, scopeAt } = verb;
			const table = method.span?.table;
			definePublic(
				CallableVerbs.prototype,
				name,
				publicMethod(
					name,
					{
						...method,
						...(method.span && {
							span: {
								...method.span,
								table: (self: CallableVerbs, options: unknown) =>
									table?.(self.#core, options),
							},
						}),
						// Checked before it is bound: a list, or an object in the tenant's
						// place, must not be taken apart.
						before: (self: CallableVerbs, given) => {
							const core = self.#core;
							const scope = self.#scope;
							if (scope !== undefined) refuseOthers(scope, given[scopeAt]);
							refuseMissingUser({ core, scope }, given[scopeAt], name);
						},
					},
					function (this: CallableVerbs, ...given: unknown[]) {
						const core = this.#core;
						const scope = this.#scope;
						if (scope !== undefined)
							given[scopeAt] = boundTo(scope, given[scopeAt] ?? {});
						const result =
							core instanceof Buckets
								? runInBuckets(
										verb,
										{ buckets: core, verbs: this, scope },
										given,
									)
								: verb.run({ core, verbs: this, scope }, ...given);
						return result.catch(async (error: unknown) => {
							throw await explained(coresOf(verb, core, given), given, error);
						});
					},
				),
			);
		}
	}
}

/** The error with what differs from the models, of the tables that the call names, or of all, in these buckets. */
function explained(
	cores: readonly ServiceCore[],
	given: readonly unknown[],
	error: unknown,
): Promise<unknown> {
	const { db } = elementAt(cores, 0);
	const { tableName, tables } = Object.assign({}, ...given.map(membersOf));
	const named = [tableName ?? tables ?? []].flat();
	const all = cores.flatMap(({ registry }) => registry.all());
	const concerned = all.filter(({ entity }) =>
		named.includes(entity.tableName),
	);
	return explainDrift(db, concerned.length === 0 ? all : concerned, error);
}

/** Of the buckets that the call may have reached, its tenant's first. */
function coresOf(
	verb: Verb,
	core: ServiceCore,
	given: readonly unknown[],
): readonly ServiceCore[] {
	if (!(core instanceof Buckets)) return [core];
	const { tenantId } = membersOf(given[verb.scopeAt]);
	const tenant =
		typeof tenantId === "string" ? tenantId : core.settings.defaultTenant;
	const all = core.all();
	if (tenant === null) return all;
	const own = core.of(tenant);
	const isOfTenant = typeof verb.buckets !== "function";
	return isOfTenant ? [own] : [own, ...all.filter((one) => one !== own)];
}

/** In the bucket of the call's tenant, unless the verb has a rule of its own. */
function runInBuckets(
	verb: Verb,
	caller: BucketCaller,
	given: readonly unknown[],
): Promise<unknown> {
	if (typeof verb.buckets === "function")
		return verb.buckets(caller, ...(given as never[]));
	const { tenantId } = membersOf(given[verb.scopeAt]);
	const core = caller.buckets.of(
		typeof tenantId === "string" ? tenantId : undefined,
	);
	const { verbs, scope } = caller;
	return verb.run({ core, verbs, scope }, ...given);
}

/** A class of its own for the types: they are those of the service's models, and do not name its core. */
export const VerbMethods = CallableVerbs as unknown as new <M extends Models>(
	core: object,
	scope?: BoundScope,
) => Verbs<M>;

import { Buckets } from "../buckets/buckets.ts";
import { definePublic, publicMethod } from "../calls/public-methods.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { membersOf } from "../util/present.ts";
import { type BatchUpsert, batchUpsert } from "./batch-upsert.ts";
import { type BoundScope, boundTo, refuseOthers } from "./bound-scope.ts";
import type { Models } from "./call-options.ts";
import { type Evaluate, evaluate } from "./evaluate.ts";
import { type ExplainRank, explainRank } from "./explain-rank.ts";
import { type ExportRows, exportRows } from "./export-rows.ts";
import { type FuzzySearch, fuzzySearch } from "./fuzzy-search.ts";
import { type HybridSearch, hybridSearch } from "./hybrid-search.ts";
import { type ImportRows, importRows } from "./import-rows.ts";
import { type Link, link } from "./link.ts";
import { type LookupEntities, lookupEntities } from "./lookup-entities.ts";
import { type LookupEntity, lookupEntity } from "./lookup-entity.ts";
import { type Query, query } from "./query.ts";
import { type Recall, recall } from "./recall.ts";
import { type Traverse, traverse } from "./traverse.ts";
import { type Unlink, unlink } from "./unlink.ts";
import { type VectorSearch, vectorSearch } from "./vector-search.ts";
import type { BucketCaller, Verb } from "./verb.ts";
import { type VerifyRows, verifyRows } from "./verify-rows.ts";

/** @internal Every verb about a tenant's rows. The service, its scopes and the check of isolation have them from here. */
export const verbs: readonly Verb[] = [
	batchUpsert,
	lookupEntity,
	lookupEntities,
	fuzzySearch,
	vectorSearch,
	hybridSearch,
	explainRank,
	evaluate,
	traverse,
	link,
	unlink,
	query,
	recall,
	exportRows,
	importRows,
	verifyRows,
];

/** The verbs as methods. */
export interface Verbs<M extends Models>
	extends BatchUpsert<M>,
		LookupEntity<M>,
		LookupEntities<M>,
		FuzzySearch,
		VectorSearch<M>,
		HybridSearch<M>,
		ExplainRank<M>,
		Evaluate<M>,
		Traverse,
		Link,
		Unlink,
		Query,
		Recall<M>,
		ExportRows<M>,
		ImportRows,
		VerifyRows {}

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
							if (self.#scope !== undefined)
								refuseOthers(self.#scope, given[scopeAt]);
						},
					},
					function (this: CallableVerbs, ...given: unknown[]) {
						const core = this.#core;
						if (this.#scope !== undefined)
							given[scopeAt] = boundTo(this.#scope, given[scopeAt] ?? {});
						return core instanceof Buckets
							? runInBuckets(verb, { buckets: core, verbs: this }, given)
							: verb.run({ core, verbs: this }, ...given);
					},
				),
			);
		}
	}
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
	const core = caller.buckets.of(tenantId as string | undefined);
	return verb.run({ core, verbs: caller.verbs }, ...given);
}

/** A class of its own for the types: they are those of the service's models, and do not name its core. */
export const VerbMethods = CallableVerbs as unknown as new <M extends Models>(
	core: object,
	scope?: BoundScope,
) => Verbs<M>;

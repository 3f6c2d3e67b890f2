import { Buckets } from "../../buckets/buckets.ts";
import { definePublic, publicMethod } from "../../calls/public-methods.ts";
import type { ServiceCore } from "../../core/service-core.ts";
import type { Entity } from "../../models/entity.ts";
import type { EntityTable } from "../../models/registry.ts";
import { explainDrift } from "../../store/explain-drift.ts";
import { elementAt } from "../../util/present.ts";
import { refuseMissingUser } from "../bound-scope.ts";
import type { RowsCaller, RowsVerb } from "../verb.ts";
import { runInBuckets } from "./in-buckets.ts";
import { type RowsVerbs, rowsVerbs } from "./verbs.ts";

class CallableRowsVerbs {
	readonly #caller: RowsCaller;

	constructor(caller: RowsCaller) {
		this.#caller = caller;
	}

	static {
		for (const verb of rowsVerbs) {
			const { name, method, run } = verb;
			const ofUser = method.parameters.findIndex(({ table }) =>
				table?.names.includes("userId"),
			);
			definePublic(
				CallableRowsVerbs.prototype,
				name,
				publicMethod(
					name,
					{
						...method,
						...(method.span && {
							span: {
								...method.span,
								table: (self: CallableRowsVerbs) =>
									self.#caller.table.entity.tableName,
							},
						}),
						before: (self: CallableRowsVerbs, given) =>
							refuseMissingUser(self.#caller, given[ofUser], name),
					},
					function (this: CallableRowsVerbs, ...given: unknown[]) {
						const caller = this.#caller;
						return explaining({ verb, caller, given }, () =>
							caller.core instanceof Buckets
								? runInBuckets(verb, caller, given)
								: run(caller, ...given),
						);
					},
				),
			);
		}
	}
}

interface RowsCall {
	readonly verb: RowsVerb;
	readonly caller: RowsCaller;
	readonly given: readonly unknown[];
}

/** What the call returns, or throws with what differs from the model. */
function explaining(call: RowsCall, run: () => unknown): unknown {
	const result = run();
	if (result instanceof Promise)
		return result.catch(async (error: unknown) => {
			throw await explained(call, error);
		});
	return isIterable(result) ? iterated(call, result) : result;
}

function isIterable(result: unknown): result is AsyncIterable<unknown> {
	return (
		typeof result === "object" &&
		result !== null &&
		Symbol.asyncIterator in result
	);
}

async function* iterated(call: RowsCall, rows: AsyncIterable<unknown>) {
	try {
		yield* rows;
	} catch (error) {
		throw await explained(call, error);
	}
}

function explained(
	{ verb, caller, given }: RowsCall,
	error: unknown,
): Promise<unknown> {
	const { core, scope, table } = caller;
	const cores =
		core instanceof Buckets
			? coresOf(core, table, scope?.tenantId ?? tenantOf(verb, given))
			: [core];
	const tables = cores.map(({ registry }) =>
		registry.get(table.entity.tableName),
	);
	return explainDrift(elementAt(cores, 0).db, tables, error);
}

/** The bucket of the tenant; without one, all. */
function coresOf(
	buckets: Buckets,
	{ entity }: EntityTable,
	tenantId: string | undefined,
): readonly ServiceCore[] {
	return tenantId === undefined || !entity.tenantScoped
		? buckets.all()
		: [buckets.of(tenantId)];
}

function tenantOf(
	{ buckets }: RowsVerb,
	given: readonly unknown[],
): string | undefined {
	const tenantId: unknown = buckets.tenant(...(given as never[]));
	return typeof tenantId === "string" ? tenantId : undefined;
}

/** A class of its own for the types: they are those of the entity, and do not name the service's core. */
export const RowsMethods = CallableRowsVerbs as unknown as new <
	E extends Entity,
>(
	caller: object,
) => RowsVerbs<E>;

import { Buckets } from "../../buckets/buckets.ts";
import { definePublic, publicMethod } from "../../calls/public-methods.ts";
import type { Entity } from "../../models/entity.ts";
import { explainDrift } from "../../store/explain-drift.ts";
import { refuseMissingUser } from "../bound-scope.ts";
import type { RowsCaller } from "../verb.ts";
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
						return explaining(caller, () =>
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

/** What the call returns, or throws with what differs from the model. */
function explaining(caller: RowsCaller, run: () => unknown): unknown {
	const result = run();
	if (result instanceof Promise)
		return result.catch(async (error: unknown) => {
			throw await explained(caller, error);
		});
	return isIterable(result) ? iterated(caller, result) : result;
}

function isIterable(result: unknown): result is AsyncIterable<unknown> {
	return (
		typeof result === "object" &&
		result !== null &&
		Symbol.asyncIterator in result
	);
}

async function* iterated(caller: RowsCaller, rows: AsyncIterable<unknown>) {
	try {
		yield* rows;
	} catch (error) {
		throw await explained(caller, error);
	}
}

/** The buckets' tables are alike. */
function explained(
	{ core, table: { entity } }: RowsCaller,
	error: unknown,
): Promise<unknown> {
	const { db, registry } = core instanceof Buckets ? core.at(0) : core;
	return explainDrift(db, [registry.get(entity.tableName)], error);
}

/** A class of its own for the types: they are those of the entity, and do not name the service's core. */
export const RowsMethods = CallableRowsVerbs as unknown as new <
	E extends Entity,
>(
	caller: object,
) => RowsVerbs<E>;

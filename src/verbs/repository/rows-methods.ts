import { Buckets } from "../../buckets/buckets.ts";
import { definePublic, publicMethod } from "../../calls/public-methods.ts";
import type { Entity } from "../../models/entity.ts";
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
					},
					function (this: CallableRowsVerbs, ...given: unknown[]) {
						const caller = this.#caller;
						return caller.core instanceof Buckets
							? runInBuckets(verb, caller, given)
							: run(caller, ...given);
					},
				),
			);
		}
	}
}

/** A class of its own for the types: they are those of the entity, and do not name the service's core. */
export const RowsMethods = CallableRowsVerbs as unknown as new <
	E extends Entity,
>(
	caller: object,
) => RowsVerbs<E>;

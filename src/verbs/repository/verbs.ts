import { Buckets } from "../../buckets/buckets.ts";
import { definePublic, publicMethod } from "../../calls/public-methods.ts";
import type { Entity } from "../../models/entity.ts";
import type { RowsCaller, RowsVerb } from "../verb.ts";
import {
	type Delete,
	deleteRows,
	type Purge,
	purgeRows,
	type Restore,
	restoreRows,
} from "./change.ts";
import { type Count, count } from "./count.ts";
import { type Find, find } from "./find.ts";
import { type FindOne, findOne } from "./find-one.ts";
import { type FindPage, findPage } from "./find-page.ts";
import { type GetById, getById } from "./get-by-id.ts";
import { type GetBySession, getBySession } from "./get-by-session.ts";
import { runInBuckets } from "./in-buckets.ts";
import { type Iterate, iterate } from "./iterate.ts";
import { type Update, type UpdateMany, update, updateMany } from "./update.ts";
import { type Upsert, upsert } from "./upsert.ts";
import { type VectorStates, vectorStates } from "./vector-states.ts";

/** @internal Every verb about one entity's rows. The repository and the check of isolation have them from here. */
export const rowsVerbs: readonly RowsVerb[] = [
	upsert,
	update,
	updateMany,
	find,
	findOne,
	findPage,
	iterate,
	count,
	getById,
	getBySession,
	vectorStates,
	deleteRows,
	restoreRows,
	purgeRows,
];

/** The verbs as methods. */
export interface RowsVerbs<E extends Entity>
	extends Upsert<E>,
		Update<E>,
		UpdateMany<E>,
		Find<E>,
		FindOne<E>,
		FindPage<E>,
		Iterate<E>,
		Count<E>,
		GetById<E>,
		GetBySession<E>,
		VectorStates,
		Delete,
		Restore,
		Purge {}

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

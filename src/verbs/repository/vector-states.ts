import { argument, optional, optionalOptions } from "../../calls/arguments.ts";
import { async, rows, traced } from "../../calls/public-methods.ts";
import {
	readVectorStates,
	type VectorState,
} from "../../embed-sync/vector-states.ts";
import { tenantName, text } from "../../models/checks.ts";
import { userCondition } from "../../query/scope.ts";
import { raw, sql } from "../../sql.ts";
import { isUuid } from "../../util/uuid.ts";
import { rowsVerb } from "../verb.ts";
import { bySecond } from "./in-buckets.ts";
import {
	type RepositoryReadOptions,
	readOptions,
	rowsHandle,
	tenantOf,
} from "./rows.ts";

export interface VectorStates {
	/**
	 * Of each embedded field of a row, under each model in use: whether its vector
	 * is there, waits, or was dead-lettered and why, and its passages. Of no row,
	 * or a model without embedded fields: an empty list.
	 *
	 * @example
	 * await films.vectorStates(film.id, "acme")
	 * // [{ fieldName: "overview", model: "semantic-v1", state: "dead", reason: "the provider refused the text: status 400", … }]
	 */
	vectorStates(
		id: string,
		tenantId?: string,
		options?: RepositoryReadOptions,
	): Promise<VectorState[]>;
}

/** @internal */
export const vectorStates = rowsVerb({
	name: "vectorStates",
	method: traced(
		async(
			argument("id", text),
			optional("tenantId", tenantName),
			optionalOptions(readOptions),
		),
		{ operation: "vectorStates", found: rows },
	),
	buckets: bySecond,
	run: async (
		caller,
		id: string,
		tenantId?: string,
		options: RepositoryReadOptions = {},
	): Promise<VectorState[]> => {
		if (!isUuid(id)) return [];
		const { core, table, scope } = caller;
		const tenant = tenantOf(caller, tenantId);
		const db = rowsHandle(caller, options, tenant);
		const models = await core.embeddings.models.all(db);
		const used = models.filter(
			({ tableName, state }) =>
				tableName === table.entity.tableName && state !== "retired",
		);
		const configured = core.embedder.spaceIfKnown();
		const own =
			tenant === undefined ? raw("TRUE") : sql`r.tenant_id = ${tenant}`;
		return readVectorStates(db, table, {
			isRow: sql`${own} AND r.id = ${id}::uuid${userCondition("r", scope ?? {})}`,
			spaces:
				used.length === 0 && configured !== undefined ? [configured] : used,
		});
	},
	probe: {
		does: "finds",
		reaches: async (call, { id }, { tenantId, transaction }) =>
			(await call(id, tenantId, { transaction })).length > 0,
	},
});

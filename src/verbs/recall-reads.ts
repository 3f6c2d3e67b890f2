import type { ServiceCore } from "../core/service-core.ts";
import { RemError } from "../errors.ts";
import {
	anyText,
	flag,
	listOf,
	numberOf,
	validDate,
	vector,
} from "../models/checks.ts";
import { limits } from "../models/limits.ts";
import { type OptionChecks, required } from "../models/options.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorInput } from "../models/vector.ts";
import type { GraphReader } from "../query/graph/traverse.ts";
import { findNamed, type NamedEntity } from "../query/recall/find-named.ts";
import type { EntityRef, Found, RecallReason } from "../query/recall/fuse.ts";
import { checkScope } from "../query/scope.ts";
import { elementAt } from "../util/present.ts";
import { type ReadOptions, readOptions } from "./call-options.ts";
import { graphReader } from "./graph.ts";
import { checkHasText, checkQueryText } from "./search.ts";

export interface RecallOptions<T extends string = string> extends ReadOptions {
	/** A question, a message, a topic: at most 65,536 characters. */
	readonly query: string;
	/** Its vector, where there is one already. */
	readonly queryEmbedding?: VectorInput;
	/** Only entities of these tables. @default all */
	readonly tables?: readonly T[];
	/** Items, 1 to 200. @default 10; with `maxTokens` alone as many as fit, one for each 20 tokens at most */
	readonly limit?: number;
	/** Tokens of all texts together, estimated. @default 4000 */
	readonly maxTokens?: number;
	/** Only entities that were written, or written again, at that time or later. */
	readonly since?: Date;
}

export const recallDefaults = { limit: 10, maxTokens: 4000 } as const;

/** How many items there may be, in how many tokens. */
interface RecallSize {
	readonly limit: number;
	readonly maxTokens: number;
}

/** Hardly a text with its key has fewer; for each item more the lists are read deeper. */
const minTokensOfItem = 20;

/** @internal Where tokens alone are given, they decide how many items there are. */
export function sizeOfRecall({
	limit,
	maxTokens,
}: Pick<RecallOptions, "limit" | "maxTokens">): RecallSize {
	if (maxTokens === undefined)
		return {
			limit: limit ?? recallDefaults.limit,
			maxTokens: recallDefaults.maxTokens,
		};
	const fitting = Math.min(
		Math.max(Math.floor(maxTokens / minTokensOfItem), recallDefaults.limit),
		limits.recallItems,
	);
	return { limit: limit ?? fitting, maxTokens };
}

export type RecallCall = RecallOptions & { readonly explain?: boolean };

export const recallChecks: OptionChecks<RecallCall> = {
	...readOptions,
	query: required(anyText),
	queryEmbedding: vector,
	tables: listOf(anyText),
	limit: numberOf(`a whole number from 1 to ${limits.recallItems}`),
	maxTokens: numberOf(`a whole number from 1 to ${limits.recallTokens}`),
	since: validDate,
	explain: flag,
};

/** An entity as its step found it. */
export interface RecalledEntity extends EntityRef {
	readonly entityKey: string | null;
	readonly table: EntityTable;
	readonly row: Readonly<Record<string, unknown>>;
	/** Of a text that was embedded in passages, the nearest. */
	readonly passage?: string | undefined;
	readonly graphEdges: readonly unknown[];
}

/** An entity that a name or an edge led to, with what its step's list is ordered by. */
export interface Led extends Found<RecalledEntity> {
	readonly reasons: readonly [RecallReason];
	readonly value: number;
}

/** @internal What the steps read with. */
export interface RecallReads {
	readonly core: ServiceCore;
	readonly call: RecallCall;
	readonly reader: GraphReader;
	readonly tenantId: string;
	readonly tables: readonly EntityTable[];
}

/** @internal Throws for what cannot be recalled with. */
export function readsOf(core: ServiceCore, call: RecallCall): RecallReads {
	const { query, userId } = call;
	checkHasText(query, "pass what to recall as query");
	checkQueryText(query);
	const tenantId = core.tenant(call.tenantId);
	checkScope({ tenantId, userId });
	checkRange("limit", call.limit, limits.recallItems);
	checkRange("maxTokens", call.maxTokens, limits.recallTokens);
	if (call.tables?.length === 0)
		throw new RemError("VALIDATION", "tables names no table", {
			hint: "leave it out to recall from all of them",
		});
	const tables = call.tables?.map((name) => core.registry.get(name));
	return {
		core,
		call,
		tenantId,
		tables: tables === undefined ? core.registry.all() : [...new Set(tables)],
		reader: graphReader(core, call),
	};
}

function checkRange(
	name: string,
	value: number | undefined,
	most: number,
): void {
	const isWithin =
		value === undefined ||
		(Number.isInteger(value) && value >= 1 && value <= most);
	if (!isWithin)
		throw new RemError(
			"INPUT_LIMIT",
			`${name} is ${value}, expected a whole number from 1 to ${most}`,
		);
}

/** @internal */
export function byNames(
	{ reader, tenantId, tables, call }: RecallReads,
	texts: readonly string[],
	perText: number,
): Promise<NamedEntity[]> {
	const { userId, since } = call;
	const scope = { tenantId, userId };
	return findNamed(reader, texts, { scope, tables, since, perText });
}

/** @internal */
export function recalledEntity(
	{ tables }: RecallReads,
	{ node, row }: NamedEntity,
) {
	const { entityType, entityId, entityKey } = node;
	const at = tables.findIndex(({ entity }) => entity.tableName === entityType);
	return {
		entityType,
		entityId,
		entityKey,
		table: elementAt(tables, at),
		row,
		graphEdges: edgesIn(row),
	};
}

/** @internal */
export function edgesIn({
	graphEdges,
}: Readonly<Record<string, unknown>>): readonly unknown[] {
	return Array.isArray(graphEdges) ? graphEdges : [];
}

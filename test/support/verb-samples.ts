import {
	exportFormat,
	exportText,
	exportVersion,
} from "../../src/store/export-format.ts";
import type { Models } from "../../src/verbs/call-options.ts";
import type { RowsVerbs } from "../../src/verbs/repository/verbs.ts";
import type { Verbs } from "../../src/verbs/verbs.ts";

// How each public verb is called. The tests that try every verb (hostile
// arguments, the transaction's handle, time limits, rights) read these tables,
// in their order: a verb without an entry does not compile.

/** The arguments of a verb. */
export interface VerbSample {
	/** A call that does what the verb is for. */
	readonly given: readonly unknown[];
	/** A call that changes no row and asks no provider, where `given` would. */
	readonly withoutEffect?: readonly unknown[];
}

/** Which rows the calls are about: those that `batchUpsert`, the first of them, writes. */
export interface SampleRows {
	/** A table whose key is `name`, with a field `content` that is embedded. */
	readonly tableName: string;
	readonly tenantId: string;
	/** The id of the row named "one". */
	readonly id: string;
}

const emptyExport = `${JSON.stringify({
	format: exportFormat,
	version: exportVersion,
	created_at: "2026-01-01T00:00:00Z",
	vectors: false,
	deleted: false,
	tables: {},
})}
{"end":{"rows":0,"vectors":0}}
`;

/** The dimensions of the vectors in the samples. */
export const sampleDimensions = 8;

const queryEmbedding = new Float32Array(sampleDimensions).fill(1);

export function verbSamples({
	tableName,
	tenantId,
	id,
}: SampleRows): Readonly<Record<keyof Verbs<Models>, VerbSample>> {
	const edges = [{ dst: "two", rel_type: "knows" }];
	const row = { tenant_id: tenantId, name: "one", content: "the first text" };
	return {
		batchUpsert: {
			given: [
				{
					tableName,
					entities: [
						{ id, name: "one", content: "the first text" },
						{ name: "two", content: "more text" },
					],
					tenantId,
				},
			],
			withoutEffect: [{ tableName, entities: [], tenantId }],
		},
		lookupEntity: { given: [{ entityKey: "one", tenantId }] },
		lookupEntities: { given: [{ entityKeys: ["one", "two"], tenantId }] },
		fuzzySearch: { given: [{ query: "one", tenantId }] },
		vectorSearch: {
			given: [{ tableName, queryText: "first", tenantId }],
			withoutEffect: [{ tableName, queryEmbedding, tenantId }],
		},
		hybridSearch: {
			given: [{ tableName, query: "first", tenantId }],
			withoutEffect: [{ tableName, query: "first", queryEmbedding, tenantId }],
		},
		explainRank: {
			given: [{ tableName, id, query: "first", tenantId }],
			withoutEffect: [
				{ tableName, id, query: "first", queryEmbedding, tenantId },
			],
		},
		recall: {
			given: [{ query: "first", tenantId }],
			withoutEffect: [{ query: "first", queryEmbedding, tenantId }],
		},
		evaluate: {
			given: [
				{
					tableName,
					queries: [{ query: "first", relevant: ["one"] }],
					tenantId,
				},
			],
			withoutEffect: [
				{
					tableName,
					queries: [{ query: "first", relevant: ["nothing"] }],
					tenantId,
				},
			],
		},
		query: { given: [`SQL ${tableName} WHERE TRUE`, { tenantId }] },
		link: {
			given: [{ from: "one", edges, tenantId }],
			withoutEffect: [{ from: "one", edges: [], tenantId }],
		},
		traverse: { given: [{ from: "one", tenantId }] },
		unlink: {
			given: [{ from: "one", dst: "two", tenantId }],
			withoutEffect: [{ from: "one", dst: "nothing", tenantId }],
		},
		exportRows: {
			given: [
				{ tables: [tableName], vectors: true, write: () => {}, tenantId },
			],
		},
		importRows: {
			given: [{ text: exportText(tableName, { id, ...row }), tenantId }],
			withoutEffect: [{ text: emptyExport, tenantId }],
		},
		verifyRows: {
			given: [{ text: exportText(tableName, { id, ...row }), tenantId }],
		},
	};
}

/** The verbs of a repository. */
export function rowsVerbSamples({
	tenantId,
	id,
}: Omit<SampleRows, "tableName">): Readonly<
	Record<keyof RowsVerbs<Models[number]>, VerbSample>
> {
	const change = { given: [id, tenantId], withoutEffect: [[], tenantId] };
	return {
		upsert: {
			given: [{ name: "three", content: "and more" }, { tenantId }],
			withoutEffect: [[], { tenantId }],
		},
		update: {
			given: [id, { content: "the first text" }, { tenantId }],
			withoutEffect: [
				"00000000-0000-0000-0000-000000000000",
				{ content: "no text" },
				{ tenantId, generateEmbeddings: false },
			],
		},
		updateMany: {
			given: [{ name: "three" }, { content: "and more" }, { tenantId }],
			// An empty filter is all rows of the tenant.
			withoutEffect: [
				{ name: "nothing" },
				{ content: "no text" },
				{ tenantId: "a tenant without rows", generateEmbeddings: false },
			],
		},
		find: { given: [{ tenantId }] },
		findOne: { given: [{ tenantId }] },
		findPage: { given: [{ tenantId }] },
		iterate: { given: [{ tenantId }] },
		count: { given: [{ tenantId }] },
		getById: { given: [id, tenantId] },
		getBySession: { given: [{ sessionId: "s", tenantId }] },
		vectorStates: { given: [id, tenantId] },
		delete: change,
		restore: change,
		purge: change,
	};
}

/** A call of each, by the verb's name; an iterator is read to its end. */
export function sampleCalls(
	target: () => object,
	samples: Readonly<Record<string, VerbSample>>,
): Record<string, () => Promise<unknown>> {
	return Object.fromEntries(
		Object.entries(samples).map(([name, { given }]) => [
			name,
			() => invoke(target(), name, given),
		]),
	);
}

export function invoke(
	target: object,
	name: string,
	given: readonly unknown[],
): Promise<unknown> {
	return settled(() => Reflect.apply(Reflect.get(target, name), target, given));
}

/** The result, with every row of an iterator; what is thrown at once is a rejection. */
export async function settled(call: () => unknown): Promise<unknown> {
	const result = await call();
	if (typeof result !== "object" || result === null) return result;
	if (!(Symbol.asyncIterator in result)) return result;
	const rows: unknown[] = [];
	for await (const row of result as AsyncIterable<unknown>) rows.push(row);
	return rows;
}

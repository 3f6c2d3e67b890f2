import { randomUUID } from "node:crypto";
import {
	type GrownService,
	grownTable,
	misspelt,
	type NewRow,
	nearRow,
	newRow,
	questionOf,
	written,
} from "../../bench/support/grown-row.ts";
import {
	exportFormat,
	exportText,
	exportVersion,
} from "../../src/store/export-format.ts";
import type { Models } from "../../src/verbs/call-options.ts";
import type { Verbs } from "../../src/verbs/verbs.ts";
import {
	argumentsOf,
	type FoundRows,
	type SampleRows,
	type VerbArguments,
	type VerbSample,
} from "./sample-calls.ts";

/** The dimensions of the vectors in the samples. */
export const sampleDimensions = 8;

const queryEmbedding = new Float32Array(sampleDimensions).fill(1);

/** Of every verb of the service, in the order in which tests call them; one without an entry does not compile. */
export const verbCalls: Readonly<
	Record<keyof Verbs<Models>, VerbSample<GrownService>>
> = {
	batchUpsert: {
		given: ({ tableName, tenantId, id }) => [
			{
				tableName,
				entities: [
					{ id, name: "one", content: "the first text" },
					{ name: "two", content: "more text" },
				],
				tenantId,
			},
		],
		withoutEffect: ({ tableName, tenantId }) => [
			{ tableName, entities: [], tenantId },
		],
		growth: [
			{
				about: "10 new rows with vectors",
				call: (service, row) =>
					service.batchUpsert({
						tableName: grownTable,
						entities: Array.from({ length: 10 }, () => newRow(row)),
						tenantId: row.tenantId,
					}),
			},
		],
	},
	lookupEntity: {
		given: ({ tenantId }) => [{ entityKey: "one", tenantId }],
		growth: [
			{
				about: "a name",
				call: (service, { name, tenantId }) =>
					service.lookupEntity({ entityKey: name, tenantId }),
			},
		],
		reads: [
			{
				returns: "one",
				call: async (verbs, scope) => {
					const hit = await verbs.lookupEntity({ entityKey: "note", ...scope });
					return hit === undefined ? [] : [hit];
				},
			},
		],
	},
	lookupEntities: {
		given: ({ tenantId }) => [{ entityKeys: ["one", "two"], tenantId }],
		growth: [
			{
				about: "a name and one that does not exist",
				call: (service, { name, tenantId }) =>
					service.lookupEntities({
						entityKeys: [name, `no ${name}`],
						tenantId,
					}),
			},
		],
		reads: [
			{
				call: (verbs, scope) =>
					verbs.lookupEntities({ entityKeys: ["NOTE", "hub"], ...scope }),
			},
			{
				variant: "hydrated",
				call: async (verbs, scope) => {
					const hits = await verbs.lookupEntities({
						entityKeys: ["note"],
						hydrate: true,
						...scope,
					});
					return hits.map(({ record }) => record as FoundRows[number]);
				},
			},
		],
	},
	fuzzySearch: {
		given: ({ tenantId }) => [{ query: "one", tenantId }],
		growth: [
			{
				about: "a misspelt name",
				reads: "bounded",
				call: (service, row) =>
					service.fuzzySearch({ query: misspelt(row), tenantId: row.tenantId }),
			},
			{
				variant: "word",
				about: "two words of a name",
				reads: "bounded",
				call: (service, { name, tenantId }) =>
					service.fuzzySearch({
						query: name.split(" ").slice(0, 2).join(" "),
						mode: "word",
						tenantId,
					}),
			},
			{
				variant: "content",
				about: "eight words of a text",
				reads: "bounded",
				call: (service, row) =>
					service.fuzzySearch({
						query: questionOf(row),
						mode: "content",
						tenantId: row.tenantId,
					}),
			},
		],
		reads: [
			{
				call: (verbs, scope) =>
					verbs.fuzzySearch({ query: "note", threshold: 0.1, ...scope }),
			},
			{
				variant: "by words",
				call: (verbs, scope) =>
					verbs.fuzzySearch({ query: "note", mode: "word", ...scope }),
			},
			{
				variant: "by content",
				call: (verbs, scope) =>
					verbs.fuzzySearch({ query: "same words", mode: "content", ...scope }),
			},
		],
	},
	vectorSearch: {
		given: ({ tableName, tenantId }) => [
			{ tableName, queryText: "first", tenantId },
		],
		withoutEffect: ({ tableName, tenantId }) => [
			{ tableName, queryEmbedding, tenantId },
		],
		growth: [
			{
				about: "10 rows",
				call: (service, row) => service.vectorSearch(nearRow(row)),
			},
			{
				variant: "filter",
				about:
					"10 rows of those that a filter on a range of names lets through",
				call: (service, row) =>
					service.vectorSearch({
						...nearRow(row),
						where: { name: { gte: row.name, lt: `${row.name}~` } },
					}),
			},
		],
		reads: [
			{
				call: (verbs, scope) =>
					verbs.vectorSearch({
						tableName: "notes",
						queryText: "the same words",
						limit: 100,
						...scope,
					}),
			},
			{
				variant: "with a filter on the tenant",
				call: (verbs, scope) =>
					verbs.vectorSearch({
						tableName: "notes",
						queryText: "the same words",
						where: { OR: [{ tenantId: "a" }, { tenantId: "b" }] },
						...scope,
					}),
			},
			{
				variant: "every table",
				call: (verbs, scope) =>
					verbs.vectorSearch({
						queryText: "the same words",
						limit: 100,
						...scope,
					}),
			},
		],
	},
	hybridSearch: {
		given: ({ tableName, tenantId }) => [
			{ tableName, query: "first", tenantId },
		],
		withoutEffect: ({ tableName, tenantId }) => [
			{ tableName, query: "first", queryEmbedding, tenantId },
		],
		growth: [
			{
				about: "eight words of a text",
				reads: "bounded",
				call: (service, row) =>
					service.hybridSearch({ ...nearRow(row), query: questionOf(row) }),
			},
		],
		reads: [
			{
				call: (verbs, scope) =>
					verbs.hybridSearch({
						tableName: "notes",
						query: "same words",
						...scope,
					}),
			},
			{
				variant: "every table",
				call: (verbs, scope) =>
					verbs.hybridSearch({ query: "same words", ...scope }),
			},
		],
	},
	explainRank: {
		given: ({ tableName, tenantId, id }) => [
			{ tableName, id, query: "first", tenantId },
		],
		withoutEffect: ({ tableName, tenantId, id }) => [
			{ tableName, id, query: "first", queryEmbedding, tenantId },
		],
		growth: [
			{
				about: "the row that a question is from",
				reads: "tenant",
				call: (service, row) =>
					service.explainRank({
						...nearRow(row),
						query: questionOf(row),
						id: row.id,
					}),
			},
		],
	},
	recall: {
		given: ({ tenantId }) => [{ query: "first", tenantId }],
		withoutEffect: ({ tenantId }) => [
			{ query: "first", queryEmbedding, tenantId },
		],
		growth: [
			{
				about: "eight words of a text",
				reads: "bounded",
				call: (service, row) =>
					service.recall({
						query: questionOf(row),
						queryEmbedding: row.vector,
						tables: [grownTable],
						tenantId: row.tenantId,
					}),
			},
		],
		reads: [
			{ variant: "by name and edges", query: "note, hub", limit: 100 },
			{ variant: "by words", query: "the same words" },
		].map(({ variant, ...options }) => ({
			variant,
			call: async (verbs, scope, { ownersById }) => {
				const { items } = await verbs.recall({ ...options, ...scope });
				return items.map(({ entityId }) => ({
					metadata: { owner: ownersById.get(entityId) },
				}));
			},
		})),
	},
	evaluate: {
		given: ({ tableName, tenantId }) => [
			{
				tableName,
				queries: [{ query: "first", relevant: ["one"] }],
				tenantId,
			},
		],
		withoutEffect: ({ tableName, tenantId }) => [
			{
				tableName,
				queries: [{ query: "first", relevant: ["nothing"] }],
				tenantId,
			},
		],
		growth: [
			{
				about: "one question, by words",
				reads: "bounded",
				call: (service, row) =>
					service.evaluate({
						tableName: grownTable,
						queries: [{ query: questionOf(row), relevant: [row.name] }],
						modes: ["text"],
						tenantId: row.tenantId,
					}),
			},
		],
		reads: [
			{
				call: async (verbs, scope, { ids }) => {
					const { unknownKeys } = await verbs.evaluate({
						tableName: "notes",
						queries: [{ query: "same words", relevant: [...ids.values()] }],
						modes: ["vector"],
						...scope,
					});
					return [...ids]
						.filter(([, id]) => !unknownKeys.includes(id))
						.map(([owner]) => ({ metadata: { owner } }));
				},
			},
		],
	},
	query: {
		given: ({ tableName, tenantId }) => [
			`SQL ${tableName} WHERE TRUE`,
			{ tenantId },
		],
		growth: [
			{
				about: "SQL with a condition on the name",
				call: (service, { name, tenantId }) =>
					service.query(
						`SQL ${grownTable} WHERE name = '${name.replaceAll("'", "''")}'`,
						{ tenantId },
					),
			},
		],
		reads: [
			{ variant: "SQL", text: "SQL notes WHERE 1 = 1 OR TRUE" },
			{ variant: "FUZZY", text: 'FUZZY "note"' },
		].map(({ variant, text }) => ({
			variant,
			call: async (verbs, scope) => {
				const result = await verbs.query(text, scope);
				return "rows" in result ? (result.rows as FoundRows) : [];
			},
		})),
	},
	link: {
		given: ({ tenantId }) => [
			{ from: "one", edges: [{ dst: "two", rel_type: "knows" }], tenantId },
		],
		withoutEffect: ({ tenantId }) => [{ from: "one", edges: [], tenantId }],
		growth: [
			{
				about: "an edge of a new row",
				prepare: written,
				call: (service, { name, tenantId }, made: NewRow) =>
					service.link({
						from: made.name,
						edges: [{ dst: name, rel_type: "seen" }],
						tenantId,
					}),
			},
		],
	},
	traverse: {
		given: ({ tenantId }) => [{ from: "one", tenantId }],
		growth: [
			{
				about: "two steps out",
				call: (service, { name, tenantId }) =>
					service.traverse({ from: name, depth: 2, tenantId }),
			},
			{
				variant: "inbound",
				about: "one step against the edges",
				call: (service, { name, tenantId }) =>
					service.traverse({ from: name, direction: "in", tenantId }),
			},
		],
		reads: [
			{
				returns: "reachable",
				call: async (verbs, scope) => {
					const { nodes } = await verbs.traverse({
						from: "hub",
						direction: "both",
						depth: 3,
						...scope,
					});
					return nodes;
				},
			},
		],
	},
	unlink: {
		given: ({ tenantId }) => [{ from: "one", dst: "two", tenantId }],
		withoutEffect: ({ tenantId }) => [
			{ from: "one", dst: "nothing", tenantId },
		],
		growth: [
			{
				about: "that edge again",
				prepare: async (service, row) => {
					const made = await written(service, row);
					await service.link({
						from: made.name,
						edges: [{ dst: row.name, rel_type: "seen" }],
						tenantId: row.tenantId,
					});
					return made;
				},
				call: (service, { name, tenantId }, made: NewRow) =>
					service.unlink({ from: made.name, dst: name, tenantId }),
			},
		],
	},
	exportRows: {
		given: ({ tableName, tenantId }) => [
			{ tables: [tableName], vectors: true, write: () => {}, tenantId },
		],
		growth: [
			{
				about: "all rows of the tenant",
				reads: "tenant",
				call: (service, { tenantId }) =>
					service.exportRows({
						write: () => {},
						tables: [grownTable],
						tenantId,
					}),
			},
		],
	},
	importRows: {
		given: (rows) => [{ text: exportOfOne(rows), tenantId: rows.tenantId }],
		withoutEffect: ({ tenantId }) => [{ text: emptyExport, tenantId }],
		growth: [
			{
				about: "a new row",
				prepare: async (_, row) => exportOfNew(row),
				call: (service, { tenantId }, text: string) =>
					service.importRows({ text, tenantId }),
			},
		],
	},
	verifyRows: {
		given: (rows) => [{ text: exportOfOne(rows), tenantId: rows.tenantId }],
		growth: [
			{
				about: "a row that is not stored",
				prepare: async (_, row) => exportOfNew(row),
				call: (service, { tenantId }, text: string) =>
					service.verifyRows({ text, tenantId }),
			},
		],
	},
};

/** The arguments of each verb, for calls about these rows. */
export function verbSamples(
	rows: SampleRows,
): Readonly<Record<keyof Verbs<Models>, VerbArguments>> {
	return argumentsOf(verbCalls, rows);
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

const exportOfOne = ({ tableName, tenantId, id }: SampleRows) =>
	exportText(tableName, {
		id,
		tenant_id: tenantId,
		name: "one",
		content: "the first text",
	});

function exportOfNew({
	tenantId,
	content,
}: {
	readonly tenantId: string;
	readonly content: string;
}): string {
	const id = randomUUID();
	return exportText(grownTable, {
		id,
		tenant_id: tenantId,
		name: `imported ${id}`,
		content,
	});
}

import { randomUUID } from "node:crypto";
import type { PostgresService } from "remdb";
import type { Models } from "../../src/verbs/call-options.ts";
import type { RowsVerbs } from "../../src/verbs/repository/verbs.ts";
import type { Verbs } from "../../src/verbs/verbs.ts";
import { Grown } from "./grown-rows.ts";

export type GrownService = PostgresService<readonly [typeof Grown]>;

/** A row that calls are about. */
export interface GrownRow {
	readonly id: string;
	readonly tenantId: string;
	readonly name: string;
	readonly content: string;
	readonly sessionId: string | undefined;
	readonly vector: Float32Array;
}

type VerbName = keyof Verbs<Models> | keyof RowsVerbs<Models[number]>;

export interface GrowthCall {
	/** What the call is, where the verb's name does not state it. */
	readonly about: string;
	/** What its time may grow with; omitted: nothing but the depth of an index. */
	readonly reads?: "tenant" | "bounded";
	/** What the call is made from; not timed. */
	readonly prepare?: (
		service: GrownService,
		row: GrownRow,
	) => Promise<NewRow | string>;
	readonly call: (
		service: GrownService,
		row: GrownRow,
		prepared: never,
	) => Promise<unknown>;
}

/** Of a call that changes one. */
interface NewRow {
	readonly id: string;
	readonly name: string;
}

/** Beside a verb's first call others of it, whose cost is of another kind. */
type GrowthCalls = Readonly<Record<VerbName, GrowthCall>> &
	Readonly<Record<string, GrowthCall>>;

const tableName = "notes" as const;
const queryWords = 8;

/** Words from the middle of the text, as a question has some of them. */
function questionOf({ content }: GrownRow): string {
	const words = content.split(/\s+/);
	const start = Math.max(0, Math.floor((words.length - queryWords) / 2));
	return words.slice(start, start + queryWords).join(" ");
}

/** The name with a letter left out. */
function misspelt({ name }: GrownRow): string {
	return name.slice(0, 2) + name.slice(3);
}

function newRow({ name, content, vector }: GrownRow) {
	return {
		name: `${name} ${randomUUID()}`.slice(0, 255),
		content,
		vectors: { content: vector },
	};
}

const search = (row: GrownRow) => ({
	tableName,
	queryEmbedding: row.vector,
	tenantId: row.tenantId,
});

const rowsOf = (service: GrownService, row: GrownRow) =>
	service.scope({ tenantId: row.tenantId }).repository(Grown);

/** A row of its own for a call that changes it. */
async function written(service: GrownService, row: GrownRow) {
	const entity = newRow(row);
	const { ids } = await service.batchUpsert({
		tableName,
		entities: [entity],
		tenantId: row.tenantId,
	});
	return { id: ids[0] ?? "", name: entity.name };
}

/** One call of each verb: a verb without one does not compile. */
export const growthCalls: GrowthCalls = {
	lookupEntity: {
		about: "a name",
		call: (service, { name, tenantId }) =>
			service.lookupEntity({ entityKey: name, tenantId }),
	},
	lookupEntities: {
		about: "a name and one that does not exist",
		call: (service, { name, tenantId }) =>
			service.lookupEntities({ entityKeys: [name, `no ${name}`], tenantId }),
	},
	fuzzySearch: {
		about: "a misspelt name",
		reads: "bounded",
		call: (service, row) =>
			service.fuzzySearch({ query: misspelt(row), tenantId: row.tenantId }),
	},
	"fuzzySearch, word": {
		about: "two words of a name",
		reads: "bounded",
		call: (service, { name, tenantId }) =>
			service.fuzzySearch({
				query: name.split(" ").slice(0, 2).join(" "),
				mode: "word",
				tenantId,
			}),
	},
	"fuzzySearch, content": {
		about: "eight words of a text",
		reads: "bounded",
		call: (service, row) =>
			service.fuzzySearch({
				query: questionOf(row),
				mode: "content",
				tenantId: row.tenantId,
			}),
	},
	vectorSearch: {
		about: "10 rows",
		call: (service, row) => service.vectorSearch(search(row)),
	},
	"vectorSearch, filter": {
		about: "10 rows of those that a filter on a range of names lets through",
		call: (service, row) =>
			service.vectorSearch({
				...search(row),
				where: { name: { gte: row.name, lt: `${row.name}~` } },
			}),
	},
	hybridSearch: {
		about: "eight words of a text",
		reads: "bounded",
		call: (service, row) =>
			service.hybridSearch({ ...search(row), query: questionOf(row) }),
	},
	explainRank: {
		about: "the row that a question is from",
		reads: "tenant",
		call: (service, row) =>
			service.explainRank({
				...search(row),
				query: questionOf(row),
				id: row.id,
			}),
	},
	evaluate: {
		about: "one question, by words",
		reads: "bounded",
		call: (service, row) =>
			service.evaluate({
				tableName,
				queries: [{ query: questionOf(row), relevant: [row.name] }],
				modes: ["text"],
				tenantId: row.tenantId,
			}),
	},
	recall: {
		about: "eight words of a text",
		reads: "bounded",
		call: (service, row) =>
			service.recall({
				query: questionOf(row),
				queryEmbedding: row.vector,
				tables: [tableName],
				tenantId: row.tenantId,
			}),
	},
	traverse: {
		about: "two steps out",
		call: (service, { name, tenantId }) =>
			service.traverse({ from: name, depth: 2, tenantId }),
	},
	"traverse, inbound": {
		about: "one step against the edges",
		call: (service, { name, tenantId }) =>
			service.traverse({ from: name, direction: "in", tenantId }),
	},
	link: {
		about: "an edge of a new row",
		prepare: (service, row) => written(service, row),
		call: (service, { name, tenantId }, made: NewRow) =>
			service.link({
				from: made.name,
				edges: [{ dst: name, rel_type: "seen" }],
				tenantId,
			}),
	},
	unlink: {
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
			service.unlink({
				from: made.name,
				dst: name,
				tenantId,
			}),
	},
	query: {
		about: "SQL with a condition on the name",
		call: (service, { name, tenantId }) =>
			service.query(
				`SQL ${tableName} WHERE name = '${name.replaceAll("'", "''")}'`,
				{ tenantId },
			),
	},
	batchUpsert: {
		about: "10 new rows with vectors",
		call: (service, row) =>
			service.batchUpsert({
				tableName,
				entities: Array.from({ length: 10 }, () => newRow(row)),
				tenantId: row.tenantId,
			}),
	},
	exportRows: {
		about: "all rows of the tenant",
		reads: "tenant",
		call: (service, { tenantId }) =>
			service.exportRows({ write: () => {}, tables: [tableName], tenantId }),
	},
	importRows: {
		about: "a new row",
		prepare: (_, { tenantId, content }) =>
			Promise.resolve(exportOf({ tenantId, content })),
		call: (service, { tenantId }, text: string) =>
			service.importRows({ text, tenantId }),
	},
	verifyRows: {
		about: "a row that is not stored",
		prepare: (_, { tenantId, content }) =>
			Promise.resolve(exportOf({ tenantId, content })),
		call: (service, { tenantId }, text: string) =>
			service.verifyRows({ text, tenantId }),
	},
	upsert: {
		about: "a new row with its vector",
		call: (service, row) => rowsOf(service, row).upsert(newRow(row)),
	},
	update: {
		about: "the text of a row, without its vector",
		prepare: (service, row) => written(service, row),
		call: (service, row, { id }: NewRow) =>
			rowsOf(service, row).update(
				id,
				{ content: `${row.content} again` },
				{ generateEmbeddings: false },
			),
	},
	updateMany: {
		about: "the rows of a name",
		prepare: (service, row) => written(service, row),
		call: (service, row, { id }: NewRow) =>
			rowsOf(service, row).updateMany(
				{ id: id },
				{ content: `${row.content} again` },
				{ generateEmbeddings: false },
			),
	},
	find: {
		about: "10 rows, by name, from a name on",
		call: (service, row) =>
			rowsOf(service, row).find(
				{ name: { gte: row.name } },
				{ orderBy: "name", limit: 10 },
			),
	},
	findOne: {
		about: "by name",
		call: (service, row) => rowsOf(service, row).findOne({ name: row.name }),
	},
	findPage: {
		about: "the 10 latest",
		call: (service, row) => rowsOf(service, row).findPage({}, { limit: 10 }),
	},
	iterate: {
		about: "the first 100 rows",
		reads: "tenant",
		call: async (service, row) => {
			let count = 0;
			for await (const _ of rowsOf(service, row).iterate())
				if (++count === 100) break;
		},
	},
	count: {
		about: "all rows of the tenant",
		reads: "tenant",
		call: (service, row) => rowsOf(service, row).count(),
	},
	getById: {
		about: "a row",
		call: (service, row) => rowsOf(service, row).getById(row.id),
	},
	getBySession: {
		about: "20 rows",
		call: (service, row) =>
			rowsOf(service, row).getBySession({ sessionId: row.sessionId ?? "s0" }),
	},
	vectorStates: {
		about: "of a row",
		call: (service, row) => rowsOf(service, row).vectorStates(row.id),
	},
	delete: {
		about: "a row",
		prepare: (service, row) => written(service, row),
		call: (service, row, { id }: NewRow) => rowsOf(service, row).delete(id),
	},
	restore: {
		about: "a deleted row",
		prepare: async (service, row) => {
			const made = await written(service, row);
			await rowsOf(service, row).delete(made.id);
			return made;
		},
		call: (service, row, { id }: NewRow) => rowsOf(service, row).restore(id),
	},
	purge: {
		about: "a row",
		prepare: (service, row) => written(service, row),
		call: (service, row, { id }: NewRow) => rowsOf(service, row).purge(id),
	},
};

/** An export of one new row, as docs/move-data.md describes it. */
function exportOf({
	tenantId,
	content,
}: Pick<GrownRow, "tenantId" | "content">) {
	const id = randomUUID();
	const columns = ["id", "tenant_id", "name", "content"];
	const lines = [
		{
			format: "remdb-export",
			version: 1,
			created_at: new Date().toISOString(),
			vectors: false,
			deleted: false,
			tables: { [tableName]: { columns, models: [] } },
		},
		{
			table: tableName,
			row: { id, tenant_id: tenantId, name: `imported ${id}`, content },
		},
		{ end: { rows: 1, vectors: 0 } },
	];
	return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

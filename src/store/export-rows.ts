import type { Handle } from "../db/database.ts";
import { embeddingModelsRef } from "../db/embedding-queue.ts";
import { arrayLiteral, encodeArray } from "../db/encode.ts";
import { embeddingsRef, tableRef } from "../db/tables.ts";
import type { Field } from "../models/field.ts";
import type { EntityTable } from "../models/registry.ts";
import { isSameSpace, type VectorSpace } from "../models/vector.ts";
import { empty, ident, join, raw, type Sql, sql } from "../sql.ts";
import { elementAt } from "../util/present.ts";
import { jsonOfText } from "./column-json.ts";
import {
	type ExportedModel,
	type ExportHeader,
	exportFormat,
	exportVersion,
	vectorData,
} from "./export-format.ts";
import type {
	ExportedCount,
	ExportProgress,
	ExportResult,
} from "./export-result.ts";

interface ExportScope {
	/** @default all tenants */
	readonly tenantId?: string | undefined;
	/** A user's and shared rows; `null`: shared ones. @default all users */
	readonly userId?: string | null | undefined;
	/** Whether soft-deleted rows are among them. */
	readonly deleted: boolean;
}

export interface ExportOptions extends ExportScope {
	/** Several of one model, in several schemas, are one table of the export. */
	readonly tables: readonly EntityTable[];
	readonly vectors: boolean;
	/** Takes the next lines; awaited before more is read. */
	readonly write: (text: string) => unknown;
	readonly onProgress?: ((progress: ExportProgress) => void) | undefined;
}

/** Writes the rows of the tables, a page at a time. One snapshot: the caller's transaction has it. */
export async function exportRows(
	tx: Handle,
	options: ExportOptions,
): Promise<ExportResult> {
	const { tables, vectors, deleted, write, onProgress } = options;
	const header: ExportHeader = {
		format: exportFormat,
		version: exportVersion,
		created_at: new Date().toISOString(),
		vectors,
		deleted,
		tables: {},
	};
	for (const table of tables) {
		const { tableName, createEmbeddings } = table.entity;
		const known = header.tables[tableName]?.models ?? [];
		const models =
			vectors && createEmbeddings ? await readModels(tx, table, options) : [];
		header.tables[tableName] = {
			columns: fieldsOf(table).map(({ column }) => column),
			models: [
				...known,
				...models.filter(
					(model) => !known.some((other) => isSameSpace(model, other)),
				),
			],
		};
	}
	// With the first rows: a table that cannot be read leaves no output.
	let head = `${JSON.stringify(header)}\n`;
	const send: typeof write = (text) => {
		const all = head + text;
		head = "";
		return write(all);
	};
	const counts: Record<string, ExportedCount> = {};
	const total = { rows: 0, vectors: 0 };
	for (const table of tables) {
		const { tableName } = table.entity;
		const count = { rows: 0, vectors: 0 };
		const { models = [] } = header.tables[tableName] ?? {};
		for await (const page of pages(tx, table, options)) {
			const found =
				models.length === 0 ? noVectors : await readVectors(tx, table, page);
			await writePage(table, page, {
				write: send,
				vectorsOf: (id) => {
					const vectors = found.get(id) ?? [];
					count.vectors += vectors.length;
					return vectors.map((vector) => vectorJson(vector, models));
				},
			});
			count.rows += page.length;
			onProgress?.({ rows: total.rows + count.rows });
		}
		total.rows += count.rows;
		total.vectors += count.vectors;
		const before = counts[tableName] ?? { rows: 0, vectors: 0 };
		counts[tableName] = {
			rows: before.rows + count.rows,
			vectors: before.vectors + count.vectors,
		};
	}
	await send(`${JSON.stringify({ end: total })}\n`);
	return { ...total, tables: counts };
}

function fieldsOf({ entity }: EntityTable): Field[] {
	return [...entity.fieldsByName.values()];
}

/** The models whose vectors the table has in this scope, registered or not. */
async function readModels(
	tx: Handle,
	table: EntityTable,
	scope: ExportScope,
): Promise<ExportedModel[]> {
	const { rows } = await tx.query<ExportedModel>(sql`
SELECT s.provider, s.model, s.dimensions, m.state
FROM (SELECT DISTINCT e.provider, e.model, e.dimensions FROM ${embeddingsRef(table)} AS e
  WHERE ${join(scopeConditions(table, scope, "e"), " AND ")}) AS s
LEFT JOIN ${embeddingModelsRef(table.schema)} AS m ON m.entity_type = ${table.entity.tableName}
  AND m.provider = s.provider AND m.model = s.model AND m.dimensions = s.dimensions
ORDER BY m.state, s.provider, s.model, s.dimensions`);
	return rows;
}

function scopeConditions(
	{ entity }: EntityTable,
	{ tenantId, userId }: ExportScope,
	alias: "r" | "e",
): Sql[] {
	const user = ident(alias, "user_id");
	return [
		raw("TRUE"),
		// As a list of one: see `byTenantAndId` in find-rows.ts.
		...(tenantId === undefined || !entity.tenantScoped
			? []
			: [
					sql`${ident(alias, "tenant_id")} = ANY (${arrayLiteral([tenantId])}::text[])`,
				]),
		...(userId === undefined
			? []
			: userId === null
				? [sql`${user} IS NULL`]
				: [sql`(${user} = ${userId} OR ${user} IS NULL)`]),
	];
}

/** A row by its columns' texts, in the order of the fields. */
interface PageRow {
	readonly id: string;
	readonly texts: readonly (string | null)[];
}

/** Few enough that a page of long texts and many passages fits in memory. */
const rowsPerPage = 250;

/** Pages in the order of ids, each behind the last row of the one before. */
async function* pages(
	tx: Handle,
	table: EntityTable,
	scope: ExportScope,
): AsyncGenerator<PageRow[]> {
	const fields = fieldsOf(table);
	const idAt = fields.findIndex(({ name }) => name === "id");
	let after: string | undefined;
	for (;;) {
		const { rows } = await tx.query<Record<string, string | null>>(
			pageSql(table, fields, { ...scope, after }),
		);
		const page = rows.map((row) => {
			const texts = fields.map((_, at) => row[`c${at}`] ?? null);
			return { id: texts[idAt] ?? "", texts };
		});
		if (page.length > 0) yield page;
		if (page.length < rowsPerPage) return;
		after = page.at(-1)?.id;
	}
}

function pageSql(
	table: EntityTable,
	fields: readonly Field[],
	{ after, ...scope }: ExportScope & { readonly after: string | undefined },
): Sql {
	const columns = fields.map(
		({ column }, at) => sql`${ident("r", column)}::text AS ${ident(`c${at}`)}`,
	);
	const conditions = [
		...scopeConditions(table, scope, "r"),
		...(scope.deleted ? [] : [raw("r.deleted_at IS NULL")]),
		...(after === undefined ? [] : [sql`r.id > ${after}::uuid`]),
	];
	const isOneTenant = scope.tenantId !== undefined && table.entity.tenantScoped;
	return sql`SELECT ${join(columns)}
FROM ${tableRef(table)} AS r
WHERE ${join(conditions, " AND ")}
ORDER BY ${isOneTenant ? raw("r.tenant_id, ") : empty}r.id
LIMIT ${rowsPerPage}`;
}

interface ReadVector extends VectorSpace {
	readonly id: string;
	readonly field: string;
	readonly hash: string;
	readonly chunk: number;
	readonly start: number | null;
	readonly end: number | null;
	readonly sent: Buffer;
}

const noVectors: ReadonlyMap<string, readonly ReadVector[]> = new Map();

/** The vectors of a page, by the ids of its rows. */
async function readVectors(
	tx: Handle,
	table: EntityTable,
	page: readonly PageRow[],
): Promise<ReadonlyMap<string, readonly ReadVector[]>> {
	const ids = encodeArray(
		"uuid",
		page.map(({ id }) => id),
	);
	const { rows } = await tx.query<ReadVector>(sql`
SELECT e.entity_id AS id, e.field_name AS field, e.provider, e.model, e.dimensions,
  encode(e.content_hash, 'hex') AS hash, e.chunk, e.chunk_start AS start, e.chunk_end AS ${ident("end")},
  vector_send(e.embedding) AS sent
FROM ${embeddingsRef(table)} AS e
WHERE e.entity_id = ANY (${ids}::uuid[])
ORDER BY e.entity_id, e.field_name, e.provider, e.model, e.dimensions, e.chunk`);
	const found = new Map<string, ReadVector[]>();
	for (const vector of rows) {
		const others = found.get(vector.id);
		if (others === undefined) found.set(vector.id, [vector]);
		else others.push(vector);
	}
	return found;
}

function vectorJson(
	{ field, hash, chunk, start, end, sent, ...space }: ReadVector,
	models: readonly ExportedModel[],
): string {
	const model = models.findIndex((one) => isSameSpace(one, space));
	const passage = {
		...(chunk === 0 ? {} : { chunk }),
		...(start === null ? {} : { start }),
		...(end === null ? {} : { end }),
	};
	return JSON.stringify({
		field,
		model,
		hash,
		...passage,
		data: vectorData(sent),
	});
}

/** Characters that are written at once. */
const writtenAtOnce = 1 << 20;

async function writePage(
	table: EntityTable,
	page: readonly PageRow[],
	{
		write,
		vectorsOf,
	}: Pick<ExportOptions, "write"> & {
		readonly vectorsOf: (id: string) => readonly string[];
	},
): Promise<void> {
	const fields = fieldsOf(table);
	const names = fields.map(({ column }) => JSON.stringify(column));
	const start = `{"table":${JSON.stringify(table.entity.tableName)},"row":{`;
	let text = "";
	for (const { id, texts } of page) {
		// NULL is left out: `null` is JSON's own.
		const members = fields.flatMap(({ type }, at) => {
			const value = texts[at] ?? null;
			return value === null
				? []
				: `${elementAt(names, at)}:${jsonOfText(type, value)}`;
		});
		const vectors = vectorsOf(id);
		const end = vectors.length === 0 ? "" : `,"vectors":[${vectors.join(",")}]`;
		text += `${start}${members.join(",")}}${end}}\n`;
		if (text.length < writtenAtOnce) continue;
		await write(text);
		text = "";
	}
	if (text !== "") await write(text);
}

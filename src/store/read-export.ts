import { callersOwnErrors, RemError } from "../errors.ts";
import type { Field } from "../models/field.ts";
import { rawMembers } from "../models/json-text.ts";
import type { EntityTable, Registry } from "../models/registry.ts";
import { type Line, linesOf } from "../util/lines.ts";
import { suggest } from "../util/suggest.ts";
import { derivedUuid, isUuid } from "../util/uuid.ts";
import { textOfJson } from "./column-json.ts";
import {
	type ExportedModel,
	type ExportHeader,
	exportEnd,
	exportedRow,
	exportedVector,
	readHeader,
	readVectorData,
} from "./export-format.ts";
import type { ExportText } from "./export-result.ts";

/** A row of an export, by the texts of its columns. */
export interface ImportedRow {
	/** Where it stands, from 1. */
	readonly line: number;
	readonly table: ImportedTable;
	readonly id: string;
	/** In the order of the table's fields. */
	readonly texts: readonly (string | null)[];
	readonly vectors: readonly ImportedVector[];
	readonly edges: number;
}

export interface ImportedVector {
	readonly field: string;
	readonly model: ExportedModel;
	readonly hash: Buffer;
	readonly chunk: number;
	readonly start: number | null;
	readonly end: number | null;
	readonly vector: Float32Array;
}

/** A table of the export, in the database that it is imported into. */
export interface ImportedTable {
	readonly table: EntityTable;
	/** The fields of the export's columns. */
	readonly fields: readonly Field[];
	readonly models: readonly ExportedModel[];
	/** Its rows are written into another schema as well, and counted there. @default false */
	readonly isCopy?: true;
}

export interface OpenedExport {
	readonly header: ExportHeader;
	readonly tables: readonly ImportedTable[];
	/** Each row in its turn; throws where one is broken, or the last line is missing. */
	readonly rows: AsyncGenerator<ImportedRow>;
}

/** Rows of one tenant as those of another. */
interface NewTenant {
	/** The tenant whose rows the file has: they become the call's tenant's. @default rows remain their tenant's */
	readonly fromTenant?: string | undefined;
	/**
	 * Gives each row an id that is derived from its own and the call's tenant: for a
	 * copy beside the original. @default false
	 */
	readonly newIds?: boolean | undefined;
}

export interface ReadOptions extends NewTenant {
	/** Whose rows they must be. @default any tenant's */
	readonly tenantId?: string | undefined;
	/** Whose rows they must be: the user's own, or shared; `null`: shared. @default any user's */
	readonly userId?: string | null | undefined;
}

/** Reads the header, then the rows as they are asked for. Everything is checked: files are edited. */
export async function openExport(
	text: string | ExportText,
	registry: Pick<Registry, "get">,
	options: ReadOptions = {},
): Promise<OpenedExport> {
	checkNewTenant(options);
	const lines = linesOf(decoded(typeof text === "string" ? [text] : text));
	const first = await lines.next();
	const header = readHeader(first.done === true ? "" : first.value.text);
	const tables = new Map(
		Object.entries(header.tables).map(([name, { columns, models }]) => {
			const table = registry.get(name);
			const fields = columns.map((column) => fieldOfColumn(table, column));
			checkColumns(table, fields);
			return [name, { table, fields, models }];
		}),
	);
	return {
		header,
		tables: [...tables.values()],
		rows: readRows(lines, tables, options),
	};
}

function checkNewTenant({ tenantId, fromTenant, newIds }: ReadOptions): void {
	if (fromTenant !== undefined && tenantId === undefined)
		throw new RemError("VALIDATION", "fromTenant needs a tenant to go to", {
			hint: "pass tenantId (--tenant) as well",
		});
	if (newIds === true && fromTenant !== undefined && fromTenant === tenantId)
		throw new RemError("VALIDATION", "newIds needs another tenant", {
			hint: "rows that remain their tenant's keep their ids: name the tenant to copy to as tenantId (--tenant), or leave fromTenant and newIds out",
		});
	if (newIds === true && fromTenant === undefined)
		throw new RemError("VALIDATION", "newIds needs fromTenant", {
			hint: "rows that remain their tenant's keep their ids: pass the tenant of the file's rows as fromTenant (--from-tenant), or leave newIds out",
		});
}

/** Bytes are UTF-8, or no export. */
async function* decoded(text: ExportText): AsyncGenerator<string> {
	const decoder = new TextDecoder("utf-8", { fatal: true });
	const decode = (bytes?: Uint8Array) => {
		try {
			return decoder.decode(bytes, { stream: bytes !== undefined });
		} catch (cause) {
			throw new RemError("VALIDATION", "the export is not UTF-8 text", {
				hint: "export the rows again; a tool has changed or cut the file",
				cause,
			});
		}
	};
	for await (const piece of callersPieces(text))
		yield typeof piece === "string" ? piece : decode(piece);
	yield decode();
}

/** An error of the stream that reads the file is its own, not one of the text. */
async function* callersPieces(
	text: ExportText,
): AsyncGenerator<string | Uint8Array> {
	const pieces =
		Symbol.asyncIterator in text
			? text[Symbol.asyncIterator]()
			: text[Symbol.iterator]();
	try {
		for (;;) {
			const piece = await callersOwnErrors(() => pieces.next());
			if (piece.done === true) return;
			yield piece.value;
		}
	} finally {
		await pieces.return?.();
	}
}

function fieldOfColumn({ entity }: EntityTable, column: string): Field {
	const fields = [...entity.fieldsByName.values()];
	const field = fields.find((field) => field.column === column);
	if (field !== undefined) return field;
	const hint = suggest(
		column,
		fields.map(({ column }) => column),
	);
	throw new RemError(
		"UNKNOWN_FIELD",
		`the export has the column "${column}", which is not in the model of "${entity.tableName}"`,
		{
			hint: `import into the models that the rows were exported with (rem export --models, rem migrate)${hint === undefined ? "" : `; ${hint}`}`,
		},
	);
}

/** A new row needs them, and the export has no value for them. */
function checkColumns({ entity }: EntityTable, fields: readonly Field[]): void {
	for (const field of entity.fieldsByName.values()) {
		const isNeeded =
			field.name === "id" ||
			field.name === "tenantId" ||
			(entity.fields.includes(field) &&
				!field.nullable &&
				field.defaultValue === undefined);
		if (isNeeded && !fields.includes(field))
			throw new RemError(
				"SCHEMA_DRIFT",
				`the export of "${entity.tableName}" lacks the column "${field.column}", which needs a value`,
				{
					hint: "export with the present models, or give the field a default",
				},
			);
	}
}

async function* readRows(
	lines: AsyncGenerator<Line>,
	tables: ReadonlyMap<string, ImportedTable>,
	options: ReadOptions,
): AsyncGenerator<ImportedRow> {
	const counted = { rows: 0, vectors: 0 };
	let end: number | undefined;
	for await (const { text, number } of lines) {
		if (text.trim() === "") continue;
		if (end !== undefined)
			throw broken(number, `stands behind the end in line ${end}`);
		const value = parse(text, number);
		const last = exportEnd.safeParse(value);
		if (!last.success) {
			const row = readRow({ text, number, value }, tables, options);
			counted.rows++;
			counted.vectors += row.vectors.length;
			yield row;
			continue;
		}
		end = number;
		const expected = last.data.end;
		if (expected.rows !== counted.rows || expected.vectors !== counted.vectors)
			throw broken(
				number,
				`the end counts ${expected.rows} rows and ${expected.vectors} vectors, the file has ${counted.rows} and ${counted.vectors}`,
			);
	}
	if (end === undefined)
		throw new RemError(
			"VALIDATION",
			"the export ends early: its last line is missing",
			{
				hint: "it was cut off while it was written or copied: export it again",
			},
		);
}

function parse(text: string, line: number): unknown {
	try {
		return JSON.parse(text);
	} catch {
		throw broken(line, "is not valid JSON, or only half of it");
	}
}

interface ParsedLine extends Line {
	readonly value: unknown;
}

function readRow(
	{ text, number: line, value }: ParsedLine,
	tables: ReadonlyMap<string, ImportedTable>,
	options: ReadOptions,
): ImportedRow {
	const parsed = exportedRow.safeParse(value);
	if (!parsed.success) {
		const [issue] = parsed.error.issues;
		throw broken(
			line,
			`is not a row of an export: ${[...(issue?.path ?? []), issue?.message].join(": ")}`,
		);
	}
	const table = tables.get(parsed.data.table);
	if (table === undefined)
		throw broken(
			line,
			`names the table "${parsed.data.table}", which the header does not have`,
		);
	const written = rawMembers(rawMembers(text)?.get("row") ?? "{}") ?? new Map();
	const texts = columnTexts(table, written, line);
	const placeOfField = (name: string) =>
		table.fields.findIndex((field) => field.name === name);
	const byName = (name: string) => texts[placeOfField(name)];
	const given = byName("id");
	if (typeof given !== "string" || !isUuid(given))
		throw broken(line, "has no id that is a UUID", "id");
	checkScope(
		{ tenantId: byName("tenantId"), userId: byName("userId"), line },
		options,
	);
	const { tenantId, fromTenant, newIds } = options;
	let id = given.toLowerCase();
	// Rows without tenants are the same for all.
	if (
		fromTenant !== undefined &&
		tenantId !== undefined &&
		table.table.entity.tenantScoped
	) {
		texts[placeOfField("tenantId")] = tenantId;
		if (newIds === true) id = derivedUuid(id, tenantId);
		texts[placeOfField("id")] = id;
	}
	return {
		line,
		table,
		id,
		texts,
		edges: Array.isArray(parsed.data.row.graph_edges)
			? parsed.data.row.graph_edges.length
			: 0,
		vectors: parsed.data.vectors.map((vector) =>
			readVector(vector, table, line),
		),
	};
}

function columnTexts(
	{ fields, table }: ImportedTable,
	written: Map<string, string>,
	line: number,
): (string | null)[] {
	const texts = fields.map((field) => {
		const json = written.get(field.column);
		written.delete(field.column);
		if (json === undefined) return null;
		const text = textOfJson(field.type, json);
		const problem =
			text === undefined
				? `is not a value of type ${field.type}`
				: systemProblem(field, json);
		if (text === undefined || problem !== undefined)
			throw broken(line, `${field.column} ${problem}`, field.name);
		return text;
	});
	for (const column of written.keys())
		throw new RemError(
			"UNKNOWN_FIELD",
			`line ${line}: the header names no column "${column}" of "${table.entity.tableName}"`,
			{
				hint: `nothing was written; ${suggest(
					column,
					fields.map(({ column }) => column),
				)}`,
				issues: [
					{ field: column, message: "unknown column", ...placeOf(line) },
				],
			},
		);
	return texts;
}

/** PostgreSQL would take any JSON for these two, and reads go by their form. */
function systemProblem({ name }: Field, json: string): string | undefined {
	if (name === "graphEdges" && !json.startsWith("["))
		return "must be a list of edges";
	if (name === "metadata" && !json.startsWith("{")) return "must be an object";
	return undefined;
}

function checkScope(
	row: {
		readonly tenantId: string | null | undefined;
		readonly userId: string | null | undefined;
		readonly line: number;
	},
	{ tenantId, userId, fromTenant }: ReadOptions,
): void {
	const expected = fromTenant ?? tenantId;
	const isOther =
		expected !== undefined &&
		row.tenantId !== undefined &&
		row.tenantId !== expected;
	const user = row.userId ?? null;
	const isOtherUser = userId !== undefined && user !== null && user !== userId;
	if (!isOther && !isOtherUser) return;
	throw new RemError(
		"TENANT_MISMATCH",
		isOther
			? `line ${row.line}: tenant "${row.tenantId}" is not ${fromTenant === undefined ? "the call's" : "the one that rows are taken from,"} "${expected}"`
			: `line ${row.line}: a row of another user than the call's`,
		{
			hint:
				isOther && fromTenant === undefined
					? `nothing was written; to make the rows of "${row.tenantId}" those of "${tenantId}", pass fromTenant: "${row.tenantId}" (rem load --from-tenant), or import without a tenant to leave them theirs`
					: "nothing was written; import without a tenant and user to take the rows' own, or export one tenant's alone",
			issues: [
				{
					field: isOther ? "tenantId" : "userId",
					message: "is another one",
					...placeOf(row.line),
				},
			],
		},
	);
}

function readVector(
	value: unknown,
	{ table, models }: ImportedTable,
	line: number,
): ImportedVector {
	const parsed = exportedVector.safeParse(value);
	if (!parsed.success) {
		const [issue] = parsed.error.issues;
		throw broken(
			line,
			`has a vector that cannot be read: ${[...(issue?.path ?? []), issue?.message].join(": ")}`,
			"vectors",
		);
	}
	const { field, hash, chunk, start, end, data } = parsed.data;
	const model = models[parsed.data.model];
	if (model === undefined)
		throw broken(
			line,
			`has a vector of model ${parsed.data.model}, which the header does not have`,
			"vectors",
		);
	if (!table.entity.embedFields.some(({ name }) => name === field))
		throw broken(
			line,
			`has a vector of "${field}", which is not an embedded field of "${table.entity.tableName}"`,
			"vectors",
		);
	const vector = readVectorData(data, model);
	if (vector === undefined)
		throw broken(
			line,
			`has a vector of ${field} without ${model.dimensions} dimensions`,
			`vectors.${field}`,
		);
	return {
		field,
		model,
		hash: Buffer.from(hash, "hex"),
		chunk,
		start,
		end,
		vector,
	};
}

/** What is wrong with a line; nothing of the file is written. */
export function broken(
	line: number,
	problem: string,
	field?: string,
): RemError {
	return new RemError("VALIDATION", `line ${line}: ${problem}`, {
		hint: "nothing was written; export the rows again, or correct the line",
		issues: [
			{
				...(field === undefined ? {} : { field }),
				message: problem,
				...placeOf(line),
			},
		],
	});
}

function placeOf(line: number): { readonly line: number } {
	return { line };
}

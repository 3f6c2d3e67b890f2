import * as z from "zod";
import { RemError } from "../errors.ts";
import type { VectorSpace } from "../models/vector.ts";

// The lines of an export, described in docs/move-data.md: a header, a row a
// line, and a last line without which the file was cut off.

export const exportFormat = "remdb-export";

/** Of the format; a file of a later one is refused. */
export const exportVersion = 1;

const exportedModel = z.object({
	provider: z.string(),
	model: z.string(),
	dimensions: z.int().positive(),
	/** `null`: the table has vectors of it, but is not registered to have. */
	state: z.enum(["active", "filling", "retired"]).nullable(),
});

/** A model whose vectors a table has. */
export type ExportedModel = z.infer<typeof exportedModel>;

const exportedTable = z.object({
	columns: z.array(z.string()),
	/** Vectors name their model by its place in this list. */
	models: z.array(exportedModel),
});

const exportHeader = z.object({
	format: z.literal(exportFormat),
	version: z.literal(exportVersion),
	created_at: z.string(),
	/** Whether the rows come with their vectors. */
	vectors: z.boolean(),
	/** Whether soft-deleted rows are among them. */
	deleted: z.boolean(),
	tables: z.record(z.string(), exportedTable),
});

export type ExportHeader = z.infer<typeof exportHeader>;

/** A vector of a text, or of a passage of it. */
export const exportedVector = z.object({
	field: z.string(),
	model: z.int().min(0),
	/** sha256, in hex, of the text that it was made from. */
	hash: z.string().regex(/^[0-9a-f]{64}$/),
	chunk: z.int().min(0).default(0),
	start: z.int().min(0).nullable().default(null),
	end: z.int().min(0).nullable().default(null),
	/** The numbers as 32-bit floats, little-endian, in base64. */
	data: z.base64(),
});

export const exportedRow = z.strictObject({
	table: z.string(),
	row: z.record(z.string(), z.unknown()),
	vectors: z.array(z.unknown()).default([]),
});

export const exportEnd = z.strictObject({
	end: z.object({
		rows: z.int().min(0),
		vectors: z.int().min(0),
	}),
});

/** An export of one row, without vectors. */
export function exportText(
	table: string,
	row: Readonly<Record<string, unknown>>,
): string {
	const header: ExportHeader = {
		format: exportFormat,
		version: exportVersion,
		created_at: new Date().toISOString(),
		vectors: false,
		deleted: false,
		tables: { [table]: { columns: Object.keys(row), models: [] } },
	};
	const lines = [header, { table, row }, { end: { rows: 1, vectors: 0 } }];
	return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** Whether a line is the first one of an export, of whatever version. */
export function isExportHeader(line: string): boolean {
	// The text is looked at first: a line may be megabytes of something else.
	if (!line.slice(0, 200).includes(exportFormat)) return false;
	try {
		const header: unknown = JSON.parse(line);
		return anyHeader.safeParse(header).success;
	} catch {
		return false;
	}
}

const anyHeader = z.object({
	format: z.literal(exportFormat),
	version: z.int(),
});

/** The header of the line; `VALIDATION` with the remedy where it is of another version. */
export function readHeader(line: string): ExportHeader {
	const value: unknown = isExportHeader(line) ? JSON.parse(line) : undefined;
	const { data: known } = anyHeader.safeParse(value);
	if (known === undefined)
		throw new RemError("VALIDATION", "line 1 is not the header of an export", {
			hint: "an export is a file that `rem export` or exportRows wrote; other rows are loaded by batchUpsert or `rem load FILE --table T`",
		});
	if (known.version > exportVersion)
		throw new RemError(
			"VALIDATION",
			`the export has format version ${known.version}, this release of remdb reads version ${exportVersion}`,
			{
				hint: "update remdb (npm install remdb@latest) and load it again, or export with this release",
			},
		);
	const header = exportHeader.safeParse(value);
	if (header.success) return header.data;
	const [issue] = header.error.issues;
	throw new RemError(
		"VALIDATION",
		`line 1: the header cannot be read: ${issue?.path.join(".")}: ${issue?.message}`,
		{ hint: "export the rows again" },
	);
}

/** Little-endian floats, from the big-endian ones that `vector_send` returns behind four bytes. */
export function vectorData(sent: Buffer): string {
	return Buffer.from(sent.subarray(4)).swap32().toString("base64");
}

/** The vector of a vector's `data`; `undefined`: it has another length. */
export function readVectorData(
	data: string,
	{ dimensions }: Pick<VectorSpace, "dimensions">,
): Float32Array | undefined {
	const bytes = Buffer.from(data, "base64");
	if (bytes.length !== dimensions * Float32Array.BYTES_PER_ELEMENT)
		return undefined;
	// A copy: the bytes may begin at a place where no float may.
	return new Float32Array(new Uint8Array(bytes).buffer);
}

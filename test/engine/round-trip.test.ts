import { expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import type { ColumnType } from "../../src/models/column-types.ts";
import { ident, raw, sql, toText } from "../../src/sql.ts";
import { useService } from "../support/engine.ts";

// A row as psql can write it, read by `find` and written back with another text,
// stays exactly what it was, or is refused before anything is written.

interface Extremes {
	readonly schema: z.core.$ZodType;
	/** As SQL writes them; stored and written back, they are the same. */
	readonly kept: readonly string[];
	/** No value of the model: they can be read, and the row can be written without them. */
	readonly refused?: readonly string[];
}

const doubles = [
	"'NaN'",
	"'Infinity'",
	"'-Infinity'",
	"'-0'",
	"5e-324",
	"2.2250738585072014e-308",
	"1.7976931348623157e308",
	"0.1::float8 + 0.2::float8",
];
const bigints = [
	"9007199254740993",
	"-9007199254740993",
	"9223372036854775807",
	"-9223372036854775808",
	"0",
];
const dates = [
	"'infinity'",
	"'-infinity'",
	"'4713-01-01 BC'",
	"'0001-01-01 BC'",
	"'0099-12-31 23:59:59.999'",
	"'1969-12-31 23:59:59.999999'",
	"'2024-02-29 12:00:00.123456+05:45'",
	"'275760-09-13'",
];
const texts = [
	"''",
	"' '",
	"E'\\u0001\\t\\r\\n'",
	"E'\\uFEFFa\\uFEFF'",
	"E'\\uFFFF\\U0010FFFF'",
	"'\\x00 \\u0000'",
	"'null'",
	"repeat('x', 100000)",
];
const uuids = [
	"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
	"'00000000-0000-0000-0000-000000000000'",
	"'ffffffff-ffff-ffff-ffff-ffffffffffff'",
];
const json = [
	"'null'",
	"'[]'",
	"'1.00'",
	"'{\"a\": [1.0, 1.10, 1e2, -0, 0.1]}'",
	'\'{"a": 653247040368672769, "b": 1e400, "c": 0.12345678901234567890}\'',
	'\'{"": {"\\\\u0000": "\\\\\\\\u0000"}}\'',
	"'\"\\uFEFF\"'",
	"('{\"n\": ' || repeat('9', 5000) || '.' || repeat('9', 5000) || '}')",
];
const items = (values: readonly string[]) =>
	values.map((one) => `ARRAY[${one}]`);

const types: Readonly<Record<ColumnType, Extremes>> = {
	text: { schema: z.string(), kept: texts },
	uuid: { schema: z.guid(), kept: uuids },
	bigint: { schema: z.int(), kept: bigints },
	"double precision": { schema: z.number(), kept: doubles },
	boolean: { schema: z.boolean(), kept: ["TRUE", "FALSE", "NULL"] },
	timestamptz: {
		schema: z.date(),
		kept: dates,
		refused: ["'275760-09-14'", "'294276-12-31'"],
	},
	jsonb: { schema: z.unknown(), kept: json },
	"text[]": arrays(z.string(), texts),
	"uuid[]": arrays(z.guid(), uuids),
	"bigint[]": arrays(z.int(), bigints),
	"double precision[]": arrays(z.number(), doubles),
	"boolean[]": arrays(z.boolean(), ["TRUE"]),
	"timestamptz[]": {
		...arrays(z.date(), dates),
		refused: ["'{275760-09-14}'", "'{NULL}'"],
	},
};

function arrays(schema: z.core.$ZodType, values: readonly string[]): Extremes {
	const [first = "", second = first] = values;
	return {
		schema: z.array(schema),
		kept: ["'{}'", "NULL", ...items(values), `ARRAY[${first}, ${second}]`],
		refused: ["'{NULL}'"],
	};
}

/** Columns of every entity that a program may fill. */
const system: Readonly<Record<string, Omit<Extremes, "schema">>> = {
	metadata: {
		kept: json.filter((one) => one.includes("{")),
		refused: ["'null'", "'[]'", "'1.00'"],
	},
	graph_edges: {
		kept: [
			"'[]'",
			'\'[{"dst": "x", "rel_type": "y", "weight": 0.50, "properties": {"n": 653247040368672769}}]\'',
			'(\'[{"dst": "x", "rel_type": "y", "n": \' || repeat(\'9\', 5000) || \'.10}]\')',
		],
		refused: [
			"'null'",
			"'[1]'",
			'\'[{"rel_type": "y"}]\'',
			'\'[{"dst": "—", "rel_type": "y"}]\'',
			'\'[{"dst": "x", "rel_type": "y", "weight": 2}]\'',
		],
	},
	tags: { kept: items(texts), refused: ["'{NULL}'"] },
	created_at: { kept: dates },
};

const nameOf = (column: string) =>
	column.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
const typeNames = Object.keys(types) as ColumnType[];
const columnOf = (type: ColumnType) => `v${typeNames.indexOf(type)}`;
const Extreme = defineEntity(
	"extremes",
	{
		name: z.string(),
		content: z.string().optional(),
		...Object.fromEntries(
			typeNames.map((type) => [columnOf(type), z.optional(types[type].schema)]),
		),
	},
	{ entityKeyField: "name", createEmbeddings: false },
);
const db = useService({ models: [Extreme] });
const tenantId = "t";
const repository = () => db.service.repository(Extreme);

test("every type of column is here", () => {
	const ofFields = [...Extreme.fieldsByName.values()].map(({ type }) => type);
	expect(new Set(typeNames)).toEqual(new Set(ofFields));
	for (const type of typeNames)
		expect(Extreme.fieldsByName.get(columnOf(type))?.type).toBe(type);
});

const cases = [
	...typeNames.map((type) => ({
		column: columnOf(type),
		type: type as string,
		...types[type],
	})),
	...Object.entries(system).map(([column, extremes]) => ({
		column,
		type: column,
		...extremes,
	})),
];

test.each(cases)(
	"$type: what psql wrote is written back as it was",
	async ({ column, type, kept }) => {
		for (const value of kept) {
			const { row, stored, name } = await storedByAnother(column, value, type);
			const before = await stored();
			const same = await upsert(row);
			expect([value, same.unchanged]).toEqual([value, 1]);
			const result = await upsert({ ...row, content: "another" });
			expect([value, result.updated]).toEqual([value, 1]);
			expect([value, await stored()]).toEqual([value, before]);
			// By its key, as a program does that loads a file again.
			const { id: _, ...byKey } = row;
			const again = await upsert({ ...byKey, content: "a third" });
			expect([value, again.updated, await stored()]).toEqual([
				value,
				1,
				before,
			]);
			const [read] = await repository().find({ tenantId, name });
			expect(read).toMatchObject({ [nameOf(column)]: row[nameOf(column)] });
		}
	},
);

test.each(cases.filter(({ refused }) => refused !== undefined))(
	"$type: what the model has not is refused, naming the field, and the rest can be written",
	async ({ column, type, refused = [] }) => {
		for (const value of refused) {
			const { row, stored } = await storedByAnother(column, value, type);
			const before = await stored();
			const error = await upsert({ ...row, content: "b" }).catch((e) => e);
			expect(error).toMatchObject({ code: "VALIDATION" });
			expect(fieldsAtFault(error)).toEqual([nameOf(column)]);
			const { [nameOf(column)]: _, ...others } = row;
			expect(await upsert({ ...others, content: "b" })).toMatchObject({
				updated: 1,
			});
			expect(await stored()).toEqual(before);
		}
	},
);

test.each(typeNames.filter((type) => /double|timestamptz/.test(type)))(
	"%s: an infinity or NaN that is not stored is refused, alone of all fields",
	async (type) => {
		const field = columnOf(type);
		const isList = type.endsWith("[]");
		for (const value of [
			Number.NaN,
			Number.POSITIVE_INFINITY,
			Number.NEGATIVE_INFINITY,
		]) {
			const given = isList ? [value] : value;
			const others = { v2: 7, v3: 0.5, v9: [1], v10: [0.5] };
			const row = { name: `new ${type} ${value}`, content: "a", ...others };
			const isNew = await upsert({ ...row, [field]: given }).catch((e) => e);
			expect(isNew).toMatchObject({ code: "VALIDATION" });
			expect(fieldsAtFault(isNew)).toEqual([field]);
			await upsert({ ...row, [field]: null });
			const isOther = await upsert({ ...row, [field]: given }).catch((e) => e);
			expect(fieldsAtFault(isOther)).toEqual([field]);
			expect(isOther.message).toContain(field);
		}
	},
);

test("an error names the fields at fault, and none that only holds a large number", async () => {
	const { row } = await storedByAnother("v2", "9007199254740993", "mixed");
	await db.service.execute(
		"UPDATE extremes SET v9 = '{9223372036854775807}', v3 = 'NaN', v10 = '{Infinity,1}' WHERE name = 'mixed'",
	);
	const [all] = await repository().find({ tenantId, name: "mixed" });
	const error = await upsert({ ...row, ...all, v4: "no boolean" }).catch(
		(e) => e,
	);
	expect(fieldsAtFault(error)).toEqual(["v4"]);
	const numbers = await upsert({ ...row, ...all, v10: [1, Number.NaN] }).catch(
		(e) => e,
	);
	expect(fieldsAtFault(numbers)).toEqual(["v10"]);
});

test("arrays that do not count from 1 keep their places", async () => {
	const { row, stored } = await storedByAnother(
		"v9",
		"'[0:1]={1,2}'",
		"places",
	);
	const before = await stored();
	await upsert({ ...row, content: "b" });
	expect(await stored()).toEqual(before);
});

async function upsert(row: object) {
	return db.service.batchUpsert({
		tableName: "extremes",
		tenantId,
		entities: [row as never],
	});
}

function fieldsAtFault(error: unknown): string[] {
	const { issues = [] } = error as { issues?: { field?: string }[] };
	return [
		...new Set(issues.map(({ field }) => String(field).split(".")[0] ?? "")),
	];
}

let rows = 0;

async function storedByAnother(column: string, value: string, label: string) {
	const name = label === "mixed" ? label : `${label} ${rows++}`;
	await db.service.execute(
		toText(
			sql`INSERT INTO extremes (tenant_id, name, content, ${ident(column)}) SELECT 't', ${raw(`'${name}'`)}, 'a', ${raw(`(${value})`)}${raw(castOf(column))}`,
		),
	);
	const [row] = await repository().find({ tenantId, name });
	const stored = async () => {
		const { rows } = await db.service.execute(
			`SELECT (to_jsonb(e) - 'content' - 'updated_at')::text AS row, ${toText(ident(column))}::text AS value FROM extremes AS e WHERE name = '${name}'`,
		);
		return rows;
	};
	return { row: row as unknown as Record<string, unknown>, stored, name };
}

/** A list of texts is no list of dates by itself. */
function castOf(column: string): string {
	const field = Extreme.fieldsByName.get(nameOf(column));
	return `::${field?.type}`;
}

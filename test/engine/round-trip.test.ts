import { expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import type { ColumnType } from "../../src/models/column-types.ts";
import { ident, raw, sql, toText } from "../../src/sql.ts";
import { useService } from "../support/engine.ts";
import {
	systemExtremes as system,
	extremesByType as types,
} from "../support/extremes.ts";

// A row as psql can write it, read by `find` and written back with another text,
// stays exactly what it was, or is refused before anything is written.

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

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { encodeArray } from "../../src/db/encode.ts";
import { castableTypes } from "../../src/filters/sql-text/value-types.ts";
import { scalarTypeEntries } from "../../src/models/column-types.ts";
import { defineEntity } from "../../src/models/entity.ts";
import { columnDdl } from "../../src/schema/entity-ddl.ts";
import { toText } from "../../src/sql.ts";

// Whatever has to hold for every type of column, so that a new one that forgets
// a part of its definition fails here. test/engine/round-trip.test.ts asks the engines.

const pageOf = (name: string) =>
	readFileSync(new URL(`../../docs/${name}.md`, import.meta.url), "utf8");
const docs = pageOf("entities");
const [casts = ""] = /^\| casts .*$/m.exec(pageOf("query-language")) ?? [];

/** A schema that each type is found by. */
function fieldOf(name: string) {
	const { fieldsByName } = defineEntity("pages", {}, { entityKeyField: null });
	const field = fieldsByName.get("tags");
	if (field === undefined) throw new Error("no field");
	return { ...field, name: "value", column: "value", type: name as "text" };
}

describe.each(scalarTypeEntries)("%s", (name, type) => {
	const { text, value } = type.empty;

	test("its empty value is one that filters accept and equals itself", () => {
		expect(type.filter.accepts(value)).toBe(true);
		expect(type.equals(value, value)).toBe(true);
	});

	test("the encoder writes as many bytes as it measures", () => {
		const { prepare, sizeOf, write } = type.encoder;
		const prepared = prepare?.(value) ?? value;
		const size = sizeOf(prepared);
		const buffer = Buffer.alloc(size + 1, 0xee);
		write(buffer, prepared, 0);
		expect(buffer[size]).toBe(0xee);
		expect(encodeArray(name, [value]).readInt32BE(8)).toBe(type.oid);
	});

	test("a constant of the dialect and a cell are read", () => {
		expect(type.dialect.read(text)).toBeDefined();
		expect(type.cell.read(text, false)).toEqual(value);
	});

	test("the column is in the documentation", () => {
		const ddl = toText(columnDdl(fieldOf(name)));
		const [, column = ""] = /^"value" (.+?)(?: NOT NULL.*)?$/.exec(ddl) ?? [];
		expect(docs).toContain(`\`${column}\``);
	});
});

test.each(castableTypes)("the cast to %s is in the documentation", (name) => {
	expect(casts).toContain(`\`::${name}\``);
});

test("no two types share an OID or a name in casts", () => {
	const once = (values: readonly unknown[]) =>
		expect(new Set(values).size).toBe(values.length);
	once(scalarTypeEntries.flatMap(([, { oid, arrayOid }]) => [oid, arrayOid]));
	once(scalarTypeEntries.flatMap(([, { dialect }]) => dialect.castNames));
});

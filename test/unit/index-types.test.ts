import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/models/entity.ts";
import {
	type IndexType,
	indexTypeNames,
	indexTypes,
	isBuiltByIndexer,
	isOfModel,
} from "../../src/schema/index-types.ts";
import { allIndexes } from "../../src/schema/indexes.ts";
import { toText } from "../../src/sql.ts";

// Whatever has to hold for every type of index, so that a new one that forgets a
// part of its definition fails here.

const docs = readFileSync(
	new URL("../../docs/indexes.md", import.meta.url),
	"utf8",
);

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string(), year: z.int() },
	{ entityKeyField: "name", indexes: [["year"]], unique: [["year"]] },
);
const indexes = allIndexes(
	{ entity: Page, schema: "public" },
	[{ provider: "p", model: "m", dimensions: 8 }],
	{ m: 16, efConstruction: 64 },
);

describe.each(indexTypeNames)("%s", (name: IndexType) => {
	const type = indexTypes[name];
	const own = indexes.filter(({ indexType }) => indexType === name);

	test("an entity with every kind of field has one, and its method is that of the type", () => {
		expect(own.length).toBeGreaterThan(0);
		for (const { definition } of own) {
			const [, method = "btree"] =
				/^USING (\w+)/.exec(toText(definition)) ?? [];
			expect(method).toBe(type.accessMethod);
		}
	});

	test("its names tell who builds it", () => {
		for (const index of own) {
			expect(
				type.namePrefixes.some((prefix) => index.name.startsWith(prefix)),
			).toBe(true);
			expect(isBuiltByIndexer(index.name)).toBe(type.builtBy === "indexer");
			if (index.tableName === "pages")
				expect(isOfModel("pages", index.name)).toBe(
					type.builtBy === "migration",
				);
		}
	});

	test("it is in the documentation", () => {
		expect(docs).toContain(`\`${name}\``);
	});
});

test("no two types share a prefix, and no two indexes a name", () => {
	const once = (values: readonly string[]) =>
		expect(new Set(values).size).toBe(values.length);
	once(Object.values(indexTypes).flatMap(({ namePrefixes }) => namePrefixes));
	once(indexes.map(({ name }) => name));
});

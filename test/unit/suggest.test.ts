import { expect, test } from "vitest";
import { suggest } from "../../src/util/suggest.ts";

const tables = ["resources", "moments", "users"];

test.each([
	["resorces", "resources"],
	["Resources", "resources"],
	["moment", "moments"],
	["user", "users"],
])("for %s it names %s", (name, nearest) => {
	expect(suggest(name, tables)).toBe(`did you mean "${nearest}"?`);
});

test.each([
	["flims", "films"],
	["yaer", "year"],
	["nmae", "name"],
	["reosurces", "resources"],
])("an exchange of neighbours is one mistake: %s is %s", (name, meant) => {
	expect(suggest(name, ["films", "year", "name", "resources"])).toBe(
		`did you mean "${meant}"?`,
	);
});

test("the first words of one name alone name it", () => {
	const options = ["tableName", "entities", "tenantId"];
	expect(suggest("table", options)).toBe('did you mean "tableName"?');
	expect(suggest("ent", options)).toBe("known: entities, tableName, tenantId");
	expect(suggest("index", ["indexType", "indexName"])).toBe(
		"known: indexName, indexType",
	);
});

test("for a name far from all it lists them, sorted", () => {
	expect(suggest("zebra", tables)).toBe("known: moments, resources, users");
});

test("of two at the same distance it names the first", () => {
	expect(suggest("cat", ["car", "can"])).toBe('did you mean "car"?');
});

test("it suggests nothing if nothing is known", () => {
	expect(suggest("x", [])).toBeUndefined();
});

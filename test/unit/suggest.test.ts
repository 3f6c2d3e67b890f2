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

test("for a name far from all it lists them, sorted", () => {
	expect(suggest("zebra", tables)).toBe("known: moments, resources, users");
});

test("of two at the same distance it names the first", () => {
	expect(suggest("cat", ["car", "can"])).toBe('did you mean "car"?');
});

test("it suggests nothing if nothing is known", () => {
	expect(suggest("x", [])).toBeUndefined();
});

import { expect, test } from "vitest";
import { elementAt, membersOf, valueAt } from "../../src/util/present.ts";

test("what exists is returned, also undefined; what does not throws", () => {
	expect(elementAt([1, undefined], 1)).toBeUndefined();
	expect(elementAt(["a"], 0)).toBe("a");
	expect(() => elementAt(["a"], 1)).toThrow(RangeError);
	expect(valueAt(new Map([["a", undefined]]), "a")).toBeUndefined();
	expect(valueAt(new Map([["a", 1]]), "a")).toBe(1);
	expect(() => valueAt(new Map(), "a")).toThrow(RangeError);
});

test("what is not an object has no members", () => {
	expect([null, undefined, "a", 1].map(membersOf)).toEqual([{}, {}, {}, {}]);
	expect(membersOf({ a: 1 })).toEqual({ a: 1 });
});

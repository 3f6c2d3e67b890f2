/** Values that no argument of another type may be taken for, by what they are. */
export const hostileValues: readonly (readonly [
	name: string,
	value: unknown,
])[] = [
	["null", null],
	["a number", 1],
	["zero", 0],
	["a negative number", -1],
	["a huge number", 1e308],
	["a fraction", 1.5],
	["NaN", Number.NaN],
	["a bigint", 1n],
	["true", true],
	["false", false],
	["a symbol", Symbol("s")],
	["a function", () => "tenant a"],
	["a String object", new String("tenant a")],
	["a Number object", new Number(1)],
	["an array", ["tenant a"]],
	["an empty array", []],
	["an array with a hole", new Array(1)],
	["a nested array", [["tenant a"]]],
	["a Buffer", Buffer.from("tenant a")],
	["a Uint8Array", new Uint8Array(2)],
	["an empty object", {}],
	["an operator", { ne: "" }],
	["an operator with a list", { in: ["tenant a", "tenant b"] }],
	["a path", { path: ["a"], eq: 1 }],
	["an object with toString", { toString: () => "tenant a" }],
	["an object with toJSON", { toJSON: () => "tenant a" }],
	["an object without a prototype", Object.create(null)],
	["an object whose getters throw", throwing()],
	["a revoked proxy", revoked()],
	["a date", new Date(0)],
	["an invalid date", new Date(Number.NaN)],
	["a regular expression", /./],
	["a Map", new Map([["tenantId", "tenant a"]])],
	["a Set", new Set(["tenant a"])],
	["a promise", Promise.resolve("tenant a")],
	["an error", new Error("tenant a")],
	["an iterator", ["tenant a"].values()],
	["an empty text", ""],
	["a blank text", "  "],
	["a text with NUL", "a\0"],
	["a lone surrogate", "a\ud800"],
	["a text of 100,000 characters", "x".repeat(100_000)],
	["SQL", "serializable; DROP TABLE notes; --"],
	["a name of a prototype", "__proto__"],
	["a method of every object", "toString"],
];

function throwing(): object {
	return Object.defineProperty({}, "tenantId", {
		enumerable: true,
		get() {
			throw new TypeError("the getter threw");
		},
	});
}

function revoked(): object {
	const { proxy, revoke } = Proxy.revocable({}, {});
	revoke();
	return proxy;
}

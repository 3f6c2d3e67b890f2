import { runInNewContext } from "node:vm";

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
	["an object whose toString throws", failing("toString")],
	["an object whose toJSON throws", failing("toJSON")],
	["an object whose Symbol.toPrimitive throws", failing(Symbol.toPrimitive)],
	["an object with a nested getter that throws", { a: [throwing()] }],
	["an array with a revoked proxy", [revoked()]],
	["a proxy whose every trap throws", throwingProxy()],
	["a cyclic object", cyclic()],
	[
		"an instance of a class",
		new (class Tenant {
			readonly ne = "";
		})(),
	],
	["an object with a symbol", { [Symbol("tenantId")]: "tenant a" }],
	["a frozen object", Object.freeze({ ne: "" })],
	["an object of another realm", runInNewContext("({ ne: '' })")],
	["an array of another realm", runInNewContext("['tenant a']")],
	["an object of 20,000 levels", deep(20_000)],
	["a sparse array", sparse()],
	["Infinity", Number.POSITIVE_INFINITY],
	["a number as text", "5"],
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

function failing(name: string | symbol): object {
	return {
		[name]: () => {
			throw new TypeError("the method threw");
		},
	};
}

function throwingProxy(): object {
	const trap = () => {
		throw new TypeError("the trap threw");
	};
	return new Proxy(
		{},
		{
			get: trap,
			has: trap,
			ownKeys: trap,
			getPrototypeOf: trap,
			getOwnPropertyDescriptor: trap,
		},
	);
}

function cyclic(): object {
	const value: Record<string, unknown> = { a: 1 };
	value.self = value;
	return value;
}

function deep(levels: number): object {
	let value: object = {};
	for (let level = 0; level < levels; level++) value = { a: value };
	return value;
}

function sparse(): unknown[] {
	const list: unknown[] = [];
	list[2 ** 32 - 2] = "tenant a";
	return list;
}

function revoked(): object {
	const { proxy, revoke } = Proxy.revocable({}, {});
	revoke();
	return proxy;
}

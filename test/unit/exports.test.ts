import { inspect } from "node:util";
import { expect, test } from "vitest";
import * as z from "zod";
import { longestMessage } from "../../src/errors.ts";
import * as remdb from "../../src/index.ts";
import { hostileValues } from "../support/hostile-values.ts";

const fields = { name: z.string() };
const Note = remdb.defineEntity("notes", fields, { entityKeyField: "name" });
const model = {
	specificationVersion: "v2",
	provider: "openai.embedding",
	modelId: "text-embedding-3-small",
	maxEmbeddingsPerCall: 5,
	supportsParallelCalls: true,
	doEmbed: async () => ({ embeddings: [] }),
};

/** How each exported function is called, and with which options. */
const functions: Readonly<
	Record<
		string,
		{
			call: (...given: unknown[]) => unknown;
			sample: unknown[];
			options: string[];
		}
	>
> = {
	RemError: {
		call: (...given) => Reflect.construct(remdb.RemError, given),
		sample: ["VALIDATION", "m", {}],
		options: [],
	},
	JsonNumber: {
		call: (...given) => Reflect.construct(remdb.JsonNumber, given),
		sample: ["1"],
		options: [],
	},
	PostgresService: {
		call: (...given) => Reflect.construct(remdb.PostgresService, given),
		sample: ["memory:"],
		options: [],
	},
	Repository: {
		call: (...given) => Reflect.construct(remdb.Repository, given),
		sample: [Note, {}, { tenantId: "a" }],
		options: [],
	},
	defineEntity: {
		call: (...given) => {
			const entity = Reflect.apply(remdb.defineEntity, undefined, given);
			return remdb.registerType(entity as typeof Note);
		},
		sample: ["notes", fields, { entityKeyField: "name" }],
		options: [
			"entityKeyField",
			"tenantScoped",
			"createEmbeddings",
			"createKvTrigger",
			"indexes",
			"unique",
		],
	},
	registerType: {
		call: (...given) => Reflect.apply(remdb.registerType, undefined, given),
		sample: [Note, {}],
		options: [
			"tableName",
			"entityKeyField",
			"tenantScoped",
			"createEmbeddings",
			"createKvTrigger",
			"schema",
			"embedding",
			"hnsw",
		],
	},
	fromAiSdk: {
		call: (...given) => Reflect.apply(remdb.fromAiSdk, undefined, given),
		sample: [model, {}],
		options: ["dimensions", "name", "maxTokensPerText", "providerOptions"],
	},
	describeQueryLanguage: {
		call: (...given) =>
			Reflect.apply(remdb.describeQueryLanguage, undefined, given),
		sample: [[Note]],
		options: [],
	},
	ident: {
		call: (...given) => Reflect.apply(remdb.ident, undefined, given),
		sample: ["a", "b"],
		options: [],
	},
	sql: {
		call: (...given) => Reflect.apply(remdb.sql, undefined, given),
		sample: [["SELECT ", ""], 1],
		options: [],
	},
};

test("every exported function is called by this test", () => {
	const exported = Object.entries(remdb)
		.filter(([, value]) => typeof value === "function")
		.map(([name]) => name);
	expect(Object.keys(functions).toSorted()).toEqual(exported.toSorted());
});

/** Undefined, or what is wrong with what the call threw. */
function failureOf(call: () => unknown): string | undefined {
	try {
		call();
		return undefined;
	} catch (error) {
		if (!(error instanceof remdb.RemError)) return inspect(error).slice(0, 200);
		const texts = [error.message, error.hint ?? ""];
		return texts.every((text) => Buffer.byteLength(text) <= longestMessage)
			? undefined
			: "a message that is too long";
	}
}

const cases = Object.entries(functions);

test.each(cases)(
	"%s with a hostile value returns, or throws a RemError",
	(_, { call, sample, options }) => {
		const wrong = hostileValues.flatMap(([what, value]) => [
			...sample.map((__, at) => [
				`argument ${at} = ${what}`,
				failureOf(() => call(...sample.with(at, value))),
			]),
			...options.map((name) => [
				`${name} = ${what}`,
				failureOf(() => call(...sample.with(-1, { [name]: value }))),
			]),
		]);
		expect(wrong.filter(([, failure]) => failure !== undefined)).toEqual([]);
	},
);

test.each(cases.filter(([, { options }]) => options.length > 0))(
	"%s refuses an unknown option with the nearest known one",
	(_, { call, sample, options }) => {
		for (const name of options) {
			const slip = `${name.slice(0, -1)}${name.slice(-2)}`;
			const attempt = () => call(...sample.with(-1, { [slip]: "x" }));
			expect(attempt).toThrow(remdb.RemError);
			try {
				attempt();
			} catch (error) {
				const { message, hint } = error as remdb.RemError;
				expect(`${message} ${hint}`).toContain("unknown option");
				expect(`${message} ${hint}`).toContain(`did you mean "${name}"?`);
			}
		}
		for (const hidden of [
			{ [Symbol("tenant")]: 1 },
			Object.create({ tenant: 1 }) as object,
		])
			expect(() => call(...sample.with(-1, hidden))).toThrow(/unknown option/);
	},
);

test.each([
	[
		"embedding",
		{ provider: "p", model: "m", dimensions: 3, dimension: 4 },
		"dimensions",
	],
	["hnsw", { m: 16, efConstruction: 64, efconstruction: 1 }, "efConstruction"],
])("registerType refuses an unknown part of %s", (name, value, nearest) => {
	expect(() => remdb.registerType(Note, { [name]: value })).toThrow(
		`did you mean "${nearest}"?`,
	);
});

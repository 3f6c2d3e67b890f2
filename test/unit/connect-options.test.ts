import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { readEnvironment } from "../../src/config.ts";
import { PostgresService, RemError, Resource } from "../../src/index.ts";
import { connectOptionNames } from "../../src/settings/check-connect-options.ts";
import { resolveSettings } from "../../src/settings/settings.ts";
import { FakeProvider } from "../support/fake-provider.ts";
import { hostileValues } from "../support/hostile-values.ts";

const settingsOf = (options: unknown) =>
	resolveSettings(options as object, readEnvironment({}));

/** A path of options, and an object that has the value there. */
const places = Object.entries(connectOptionNames).flatMap(([group, names]) =>
	names.map((name) => [group, name] as const),
);

function at(group: string, name: string, value: unknown): object {
	const path = [...(group === "" ? [] : group.split(".")), name];
	return path.reduceRight<unknown>(
		(inner, key) => ({ [key]: inner }),
		value,
	) as object;
}

describe("an option of connect", () => {
	test.each(places)(
		"%s %s with a hostile value is taken or CONFIG_INVALID",
		(group, name) => {
			for (const [what, value] of hostileValues) {
				let failure: unknown;
				try {
					settingsOf(at(group, name, value));
				} catch (error) {
					failure = error;
				}
				const isRight =
					failure === undefined ||
					(failure instanceof RemError && failure.code === "CONFIG_INVALID");
				expect(isRight, `${what}: ${inspect(failure)}`).toBe(true);
			}
		},
	);

	test.each(places)(
		"%s %s misspelt is refused with its name",
		(group, name) => {
			const snake = name.replace(
				/[A-Z]/g,
				(letter) => `_${letter.toLowerCase()}`,
			);
			const slip =
				snake === name ? `${name.slice(0, -1)}${name.slice(-2)}` : snake;
			const error = errorOf(at(group, slip, "x"));
			expect(error).toMatchObject({ code: "CONFIG_INVALID" });
			expect(error.message).toContain("unknown option");
			expect(error.hint).toContain(`did you mean "${name}"?`);
		},
	);

	test("the options themselves are an object", () => {
		for (const [name, value] of hostileValues.filter(
			([name]) => !/object|operator|path/.test(name),
		))
			if (!["an object without a prototype", "an empty object"].includes(name))
				expect(errorOf(value).code, name).toBe("CONFIG_INVALID");
	});

	test("models is a list, and says how one model is given", () => {
		expect(errorOf({ models: Resource })).toMatchObject({
			code: "CONFIG_INVALID",
			message: expect.stringContaining("[resources]"),
		});
		expect(errorOf({ models: [Resource, {}] }).message).toContain("item 1");
		expect(errorOf({ models: [Resource, null] }).message).toContain("item 1");
	});

	test("several problems are named at once", () => {
		const error = errorOf({ connection_string: "x", poolSize: "5" });
		expect(error.issues.map(({ field }) => field).toSorted()).toEqual([
			"connection_string",
			"poolSize",
		]);
	});
});

test.each([
	["an address", "postgresql://h/d"],
	["nothing", undefined],
	["options", { connectionString: "memory:" }],
])("new PostgresService of %s says how to connect", (_, given) => {
	const Service = PostgresService as unknown as new (given: unknown) => unknown;
	expect(() => new Service(given)).toThrow(
		expect.objectContaining({
			code: "VALIDATION",
			hint: expect.stringContaining("PostgresService.connect"),
		}),
	);
});

describe("a provider object", () => {
	const aiSdk = {
		specificationVersion: "v3",
		provider: "openai.embedding",
		modelId: "text-embedding-3-small",
		maxEmbeddingsPerCall: 10,
		supportsParallelCalls: true,
		doEmbed: async () => ({ embeddings: [] }),
	};

	test("may be given as embedding and as its provider, beside how it is called", () => {
		const provider = new FakeProvider();
		expect(settingsOf({ embedding: provider }).embedding).toBe(provider);
		const settings = settingsOf({
			embedding: { provider, batchSize: 7, requestsPerMinute: 60 },
		});
		expect(settings.embedding).toBe(provider);
		expect(settings.embeddingBatchSize).toBe(7);
		expect(settings.embeddingCalls.requestsPerMinute).toBe(60);
		expect(settings.isLocalByDefault).toBe(false);
		const same = { provider, model: "m1", dimensions: 8 };
		expect(settingsOf({ embedding: same }).embedding).toBe(provider);
	});

	test("may be a model of the AI SDK, shortened", () => {
		expect(
			settingsOf({ embedding: { provider: aiSdk } }).embedding,
		).toMatchObject({
			name: "openai",
			model: "text-embedding-3-small",
			dimensions: 1536,
		});
		const shortened = { provider: aiSdk, dimensions: 256 };
		expect(settingsOf({ embedding: shortened }).embedding).toMatchObject({
			dimensions: 256,
		});
	});

	test.each([
		[{ provider: new FakeProvider(), model: "other" }, /embedding\.model/],
		[{ provider: new FakeProvider(), dimensions: 9 }, /embedding\.dimensions/],
		[{ provider: new FakeProvider(), apiKey: "k" }, /embedding\.apiKey/],
		[{ provider: aiSdk, baseUrl: "http://h" }, /embedding\.baseUrl/],
		[{ provider: {} }, /embedding\.provider/],
		[{ provider: { embed: 1 } }, /embedding\.provider/],
		[{ provider: ["openai"] }, /embedding\.provider/],
		["openai", /embedding: expected an object/],
	])("%o is CONFIG_INVALID, naming the option", (embedding, message) => {
		const error = errorOf({ embedding });
		expect(error.code).toBe("CONFIG_INVALID");
		expect(error.message).toMatch(message);
	});
});

function errorOf(options: unknown): RemError {
	try {
		settingsOf(options);
	} catch (error) {
		expect(error).toBeInstanceOf(RemError);
		return error as RemError;
	}
	return expect.unreachable(`it did not fail: ${inspect(options)}`);
}

describe("connectionString", () => {
	const warningsOf = (options: object, environment = {}) => {
		const warnings: string[] = [];
		const quiet = () => {};
		const warn = (_: object, text: string) => warnings.push(text);
		const logger = { debug: quiet, info: quiet, warn, error: quiet };
		resolveSettings({ ...options, logger }, readEnvironment(environment));
		return warnings;
	};

	test("that is given as undefined is one warning that names it and what is opened", () => {
		const undefinedString = { connectionString: undefined };
		expect(warningsOf(undefinedString)).toEqual([
			"the option connectionString is given, but undefined: the embedded database in ./.rem is used; leave the option out if that is meant",
		]);
		expect(
			warningsOf(undefinedString, { POSTGRES__HOST: "db.example.org" }),
		).toEqual([
			expect.stringContaining("the server that the environment names"),
		]);
		expect(warningsOf(undefinedString, { DATABASE_URL: "memory:" })).toEqual([
			expect.stringContaining("in memory"),
		]);
	});

	test("that is left out, or given, is none", () => {
		expect(warningsOf({})).toEqual([]);
		expect(warningsOf({ connectionString: "memory:" })).toEqual([]);
	});
});

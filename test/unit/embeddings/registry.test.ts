import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
	isModuleProvider,
	loadProvider,
} from "../../../src/embeddings/load-provider.ts";
import type { EmbeddingProvider } from "../../../src/embeddings/provider.ts";
import { ProviderRegistry } from "../../../src/embeddings/provider-registry.ts";
import { RemError } from "../../../src/errors.ts";

function own(name: string, model: string, dimensions = 3): EmbeddingProvider {
	return {
		name,
		model,
		dimensions,
		limits: { maxTexts: 10 },
		embed: async (texts) => texts.map(() => Float32Array.of(1, 2, 3)),
	};
}

describe("built-in providers", () => {
	const registry = new ProviderRegistry();

	test.each([
		["local", undefined, "semantic-v1", 612],
		["local", "lexical-v1", "lexical-v1", 512],
		["transformers", undefined, "Xenova/all-MiniLM-L6-v2", 384],
		["transformers", "Xenova/bge-base-en-v1.5", "Xenova/bge-base-en-v1.5", 768],
		["openai", undefined, "text-embedding-3-small", 1536],
		["openai", "text-embedding-3-large", "text-embedding-3-large", 3072],
		["cohere", undefined, "embed-english-v3.0", 1024],
		["cohere", "embed-multilingual-v3.0", "embed-multilingual-v3.0", 1024],
	])(
		"%s %s has %s with %i dimensions, no key needed",
		(provider, model, its, dimensions) => {
			expect(registry.space({ provider, model })).toEqual({
				provider,
				model: its,
				dimensions,
			});
		},
	);

	test("so few dimensions that only words have a place are those of lexical-v1", () => {
		const model = (dimensions: number) =>
			registry.space({ provider: "local", dimensions }).model;
		expect([model(127), model(128)]).toEqual(["lexical-v1", "semantic-v1"]);
	});

	test("with a key they can be asked", () => {
		for (const provider of ["openai", "cohere"])
			expect(registry.resolve({ provider, apiKey: "k" }).name).toBe(provider);
	});

	test("without a key they report what to set", () => {
		expect(() => registry.resolve({ provider: "openai" })).toThrowError(
			expect.objectContaining({
				code: "PROVIDER_NOT_CONFIGURED",
				message: 'provider "openai" has no key',
				hint: expect.stringContaining("OPENAI_API_KEY"),
			}),
		);
		expect(() => registry.resolve({ provider: "cohere" })).toThrowError(
			expect.objectContaining({ code: "PROVIDER_NOT_CONFIGURED" }),
		);
	});

	test("a server of one's own needs none", () => {
		const settings = {
			provider: "openai",
			model: "nomic-embed-text",
			dimensions: 768,
			baseUrl: "http://127.0.0.1:11434/v1",
		};
		expect(registry.resolve(settings)).toMatchObject({
			model: "nomic-embed-text",
			dimensions: 768,
		});
	});

	test.each([
		[
			{ provider: "opnai" },
			"PROVIDER_NOT_CONFIGURED",
			'did you mean "openai"?',
		],
		[
			{ provider: "openai", model: "my-model" },
			"PROVIDER_NOT_CONFIGURED",
			"set EMBEDDING__DIMENSIONS, or the option dimensions, to it",
		],
		[
			{ provider: "openai", model: "text-embedding-3-smal" },
			"PROVIDER_NOT_CONFIGURED",
			'did you mean "text-embedding-3-small"?',
		],
		[
			{ provider: "openai", dimensions: 4000 },
			"CONFIG_INVALID",
			"it has at most 1536",
		],
		[{ provider: "cohere", dimensions: 512 }, "CONFIG_INVALID", "it has 1024"],
		[
			{ provider: "local", model: "semantic-v1", dimensions: 127 },
			"CONFIG_INVALID",
			"it has 612, or any other from 128",
		],
		[
			{ provider: "transformers", model: "of/mine" },
			"PROVIDER_NOT_CONFIGURED",
			"set EMBEDDING__DIMENSIONS, or the option dimensions, to it",
		],
		[
			{ provider: "transformers", model: "./no/such/folder" },
			"PROVIDER_NOT_CONFIGURED",
			"name a folder as downloaded from huggingface.co",
		],
		[
			{ provider: "cohere", model: "embed-v4.0", dimensions: 500 },
			"CONFIG_INVALID",
			"it has 256, 512, 1024, 1536",
		],
		[
			{ provider: "local", model: "text-embedding-3-small" },
			"PROVIDER_NOT_CONFIGURED",
			"known: lexical-v1, semantic-v1",
		],
	])("%j is refused with a hint", (settings, code, hint) => {
		for (const resolve of [
			() => registry.space(settings),
			() => registry.resolve({ ...settings, apiKey: "k" }),
		])
			expect(resolve).toThrowError(
				expect.objectContaining({ code, hint: expect.stringContaining(hint) }),
			);
	});

	test("lengths that a model can make are accepted", () => {
		for (const settings of [
			{ provider: "local", dimensions: 64 },
			{ provider: "local", dimensions: 128 },
			{ provider: "local", model: "semantic-v1", dimensions: 2000 },
			{ provider: "transformers", model: "of/mine", dimensions: 42 },
			{ provider: "openai", dimensions: 256 },
			{ provider: "cohere", model: "embed-v4.0", dimensions: 512 },
		])
			expect(registry.space(settings).dimensions).toBe(settings.dimensions);
	});
});

describe("a registered provider", () => {
	test("is found by its name, and by name and model", () => {
		const registry = new ProviderRegistry();
		const [a, b] = [own("mine", "a"), own("mine", "b")];
		registry.register(a);
		registry.register(b);
		expect(registry.resolve({ provider: "mine" })).toBe(b);
		expect(registry.resolve({ provider: "mine", model: "a" })).toBe(a);
		expect(registry.space({ provider: "mine" })).toEqual({
			provider: "mine",
			model: "b",
			dimensions: 3,
		});
	});

	test("takes the place of one of the same name and model", () => {
		const registry = new ProviderRegistry();
		const later = own("mine", "a");
		registry.register(own("mine", "a"));
		registry.register(later);
		expect(registry.resolve({ provider: "mine", model: "a" })).toBe(later);
	});

	test("goes before a built-in one of the same name, whose other models stay", () => {
		const registry = new ProviderRegistry();
		const wrapped = own("openai", "text-embedding-3-small");
		registry.register(wrapped);
		const provider = "openai";
		expect(registry.resolve({ provider, model: wrapped.model })).toBe(wrapped);
		expect(
			registry.space({ provider, model: "text-embedding-3-large" }).dimensions,
		).toBe(3072);
	});

	test("is unknown to another registry", () => {
		new ProviderRegistry().register(own("mine", "a"));
		expect(() =>
			new ProviderRegistry().resolve({ provider: "mine" }),
		).toThrowError(
			expect.objectContaining({
				message: 'unknown embedding provider "mine"',
				hint: "known: cohere, local, openai, transformers",
			}),
		);
	});

	test("misspelt is suggested", () => {
		const registry = new ProviderRegistry();
		registry.register(own("onnx-minilm", "a"));
		expect(() => registry.space({ provider: "onnx-minlm" })).toThrowError(
			expect.objectContaining({ hint: 'did you mean "onnx-minilm"?' }),
		);
		expect(() =>
			registry.space({ provider: "onnx-minilm", model: "c" }),
		).toThrowError(
			expect.objectContaining({
				message: 'embedding provider "onnx-minilm" has no model "c"',
			}),
		);
	});

	test.each([
		[{ name: "" }, "name"],
		[{ name: "x".repeat(51) }, "name"],
		[{ model: 7 }, "model"],
		[{ dimensions: 1.5 }, "dimensions"],
		[{ dimensions: 20_000 }, "dimensions"],
		[{ limits: undefined }, "limits.maxTexts"],
		[{ limits: { maxTexts: 0 } }, "limits.maxTexts"],
		[{ embed: "no" }, "embed"],
	])("with %j is refused", (wrong, member) => {
		const provider = { ...own("mine", "a"), ...wrong } as EmbeddingProvider;
		expect(() => new ProviderRegistry().register(provider)).toThrowError(
			expect.objectContaining({
				code: "CONFIG_INVALID",
				message: expect.stringContaining(member),
			}),
		);
	});
});

describe("a provider named by its module", () => {
	let folder: string;
	const write = async (name: string, text: string) => {
		await writeFile(join(folder, name), text);
		return join(folder, name);
	};
	const load = (specifier: string, settings = {}) =>
		loadProvider({ provider: `module:${specifier}`, ...settings });

	beforeAll(async () => {
		folder = await mkdtemp(join(tmpdir(), "rem-provider-"));
	});
	afterAll(() => rm(folder, { recursive: true }));

	test("only a prefix makes a name a module", () => {
		expect(isModuleProvider({ provider: "module:x" })).toBe(true);
		expect(isModuleProvider({ provider: "./x.mjs" })).toBe(false);
	});

	const object = `{ name: "mine", model: "m", dimensions: 2, limits: { maxTexts: 3 },
		embed: async (texts) => texts.map(() => Float32Array.of(1, 2)) }`;

	test("may export the provider, by relative path, path or URL", async () => {
		const path = await write("object.mjs", `export default ${object}`);
		const relativePath = `./${relative(process.cwd(), path)}`;
		for (const specifier of [path, relativePath, pathToFileURL(path).href])
			expect(await load(specifier)).toMatchObject({ name: "mine", model: "m" });
	});

	test("may export a function of the settings", async () => {
		const path = await write(
			"factory.mjs",
			`export default async ({ model, apiKey, provider }) =>
				({ ...${object}, model: model + apiKey + provider })`,
		);
		expect(await load(path, { model: "big", apiKey: "-k-" })).toMatchObject({
			model: "big-k-undefined",
		});
	});

	test("may export an embedding model of the AI SDK", async () => {
		const path = await write(
			"sdk.mjs",
			`export default { specificationVersion: "v3", provider: "acme.embedding", modelId: "e1",
				maxEmbeddingsPerCall: 5, supportsParallelCalls: true,
				doEmbed: async ({ values }) => ({ embeddings: values.map(() => [1, 2]) }) }`,
		);
		const provider = await load(path, { dimensions: 2 });
		expect(provider).toMatchObject({
			name: "acme",
			model: "e1",
			dimensions: 2,
		});
	});

	test("may be CommonJS", async () => {
		const path = await write("common.cjs", `module.exports = ${object}`);
		expect(await load(path)).toMatchObject({ name: "mine" });
	});

	test("that does not exist, or fails, is an error of configuration", async () => {
		const failing = await write(
			"failing.mjs",
			"export default () => { throw new TypeError('canary') }",
		);
		const broken = await write("broken.mjs", "export default {");
		for (const specifier of [
			join(folder, "absent.mjs"),
			"rem-no-such-package",
			failing,
			broken,
		]) {
			const error = await load(specifier).catch((error: unknown) => error);
			expect(error).toMatchObject({ code: "CONFIG_INVALID" });
			expect(inspect(error, { depth: 10 })).not.toContain("canary");
		}
	});

	test("may report itself what is wrong", async () => {
		const own = new RemError("PROVIDER_NOT_CONFIGURED", "no model file");
		Object.assign(globalThis, { ownError: own });
		const path = await write(
			"own-error.mjs",
			"export default () => { throw globalThis.ownError }",
		);
		await expect(load(path)).rejects.toBe(own);
	});

	test("that exports something else is refused with what is missing", async () => {
		const path = await write("other.mjs", "export default { name: 'x' }");
		await expect(load(path)).rejects.toMatchObject({
			code: "CONFIG_INVALID",
			message: expect.stringContaining("model is not a text"),
		});
	});
});

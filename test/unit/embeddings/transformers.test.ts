import {
	mkdir,
	mkdtemp,
	realpath,
	rm,
	symlink,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	afterAll,
	beforeAll,
	beforeEach,
	describe,
	expect,
	test,
} from "vitest";
import { generateBatch } from "../../../src/embeddings/generate-batch.ts";
import type { EmbeddingProvider } from "../../../src/embeddings/provider.ts";
import { resolveProvider } from "../../../src/embeddings/resolve-provider.ts";
import { findDimensions } from "../../../src/embeddings/transformers.ts";
import { writeTinyTransformer } from "../../support/tiny-transformer.ts";

// The package takes 475 MB with its runtimes, so it is none of ours. With
// REM_TEST_TRANSFORMERS, a folder where it is installed, the tests that run a
// model use it; otherwise a stand-in of the same interface, which has numbers of
// its own and notes what it was asked.
const installed = process.env.REM_TEST_TRANSFORMERS;

const standIn = `
import { existsSync, readFileSync } from "node:fs";
const configOf = (model) => {
	const path = model + "/config.json";
	if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8"));
	if (model === "of/somebody") return { hidden_size: 24 };
	if (model === "of/nothing") return {};
	throw new Error("Unauthorized access to file");
};
export const AutoConfig = { from_pretrained: async (model) => configOf(model) };
export const pipeline = async (task, model, options) => {
	const calls = (globalThis.tinyCalls ??= []);
	calls.push({ task, model, options });
	if (model.endsWith("broken")) throw new Error("Load model failed");
	const { hidden_size: length } = configOf(model);
	const numberOf = (word, at) => Math.sin((at + 1) * [...word].reduce((sum, one) => sum * 31 + one.codePointAt(0), 7) % 1e6);
	return async (texts, { pooling, normalize }) => {
		calls.push({ texts, pooling, normalize });
		await globalThis.tinyPause?.();
		const data = new Float32Array(texts.length * length);
		texts.forEach((text, row) => {
			const words = ["[CLS]", ...(text.toLowerCase().match(/\\\\w+/g) ?? [])].slice(0, pooling === "cls" ? 1 : undefined);
			const vector = Array.from({ length }, (_, at) => words.reduce((sum, word) => sum + numberOf(word, at), 0));
			const norm = Math.hypot(...vector);
			vector.forEach((value, at) => { data[row * length + at] = value / norm; });
		});
		return { data, dims: [texts.length, length] };
	};
};`.replaceAll("\\\\", "\\");

interface Call {
	readonly model?: string;
	readonly options?: unknown;
	readonly texts?: readonly string[];
	readonly pooling?: string;
	readonly normalize?: boolean;
}

declare global {
	var tinyCalls: Call[] | undefined;
	var tinyPause: (() => Promise<void>) | undefined;
}

const before = process.cwd();
let folder: string;
beforeAll(async () => {
	folder = await realpath(await mkdtemp(join(tmpdir(), "transformers-")));
	const scope = join(folder, "node_modules/@huggingface");
	await mkdir(scope, { recursive: true });
	if (installed !== undefined)
		await symlink(
			join(installed, "node_modules/@huggingface/transformers"),
			join(scope, "transformers"),
		);
	else {
		await mkdir(join(scope, "transformers"));
		await writeFile(
			join(scope, "transformers/package.json"),
			'{ "name": "@huggingface/transformers", "type": "module", "exports": "./main.js" }',
		);
		await writeFile(join(scope, "transformers/main.js"), standIn);
	}
	process.chdir(folder);
	writeTinyTransformer("models/tiny");
});
afterAll(async () => {
	process.chdir(before);
	await rm(folder, { recursive: true });
});
beforeEach(() => {
	globalThis.tinyCalls = undefined;
	globalThis.tinyPause = undefined;
});

function open(model: string, dimensions?: number): EmbeddingProvider {
	return resolveProvider({ provider: "transformers", model, dimensions });
}

async function vectorsOf(
	provider: EmbeddingProvider,
	texts: readonly string[],
	purpose: "document" | "query" = "document",
): Promise<number[][]> {
	const vectors = await generateBatch(provider, texts, { purpose });
	return vectors.map((vector) => [...vector]);
}

function close(a: readonly number[] | undefined, b: readonly number[] = []) {
	expect(a?.length).toBe(b.length);
	a?.forEach((value, at) => {
		expect(value).toBeCloseTo(b[at] ?? Number.NaN, 4);
	});
}

describe("a model in a folder", () => {
	test("has the length that its configuration says", () => {
		writeTinyTransformer("models/longer", { dimensions: 24 });
		expect(open("./models/tiny").dimensions).toBe(8);
		expect(open(join(folder, "models/longer")).dimensions).toBe(24);
		expect(open(`file://${folder}/models/longer`).dimensions).toBe(24);
		expect(() => open("./models/tiny", 9)).toThrow(
			expect.objectContaining({ code: "CONFIG_INVALID" }),
		);
	});

	test("gives each text its vector of length 1, in their order", async () => {
		const provider = open("./models/tiny");
		const texts = ["river", "the car: a car engine", "lake", ""];
		const together = await vectorsOf(provider, texts);
		for (const [place, text] of texts.entries()) {
			const [alone] = await vectorsOf(provider, [text]);
			// The padding to the longest text of a run makes no difference.
			close(together[place], alone);
			expect(Math.hypot(...(alone ?? []))).toBeCloseTo(1, 5);
		}
		expect(new Set(together.map(([first]) => first)).size).toBe(4);
	});

	test("the pooling is that of its folder", async () => {
		writeTinyTransformer("models/first", { pooling: "cls" });
		const vectors = await vectorsOf(open("./models/first"), ["river", "car"]);
		// Without attention the first token is the same in each text.
		close(vectors[0], vectors[1]);
		const means = await vectorsOf(open("./models/tiny"), ["river", "car"]);
		expect(means[0]?.[0]).not.toBeCloseTo(means[1]?.[0] ?? 0, 4);
	});

	test("its prompts go before questions and documents", async () => {
		writeTinyTransformer("models/prompted", {
			prompts: { query: "query: ", passage: "passage: " },
		});
		const prompted = open("./models/prompted");
		const plain = open("./models/tiny");
		const [question] = await vectorsOf(prompted, ["river"], "query");
		const [document] = await vectorsOf(prompted, ["river"]);
		const [first, second] = await vectorsOf(plain, [
			"query: river",
			"passage: river",
		]);
		close(question, first);
		close(document, second);
	});

	test.each([
		["models/absent", undefined, "it has no config.json"],
		["models/no-json", "{", "its config.json is not JSON"],
		["models/no-size", "{}", "its config.json has no hidden_size"],
	])("%s is refused with the reason", async (path, config, reason) => {
		if (config !== undefined) {
			await mkdir(path, { recursive: true });
			await writeFile(join(path, "config.json"), config);
		}
		expect(() => open(`./${path}`)).toThrow(
			expect.objectContaining({
				code: "PROVIDER_NOT_CONFIGURED",
				message: expect.stringContaining(reason),
				hint: expect.stringContaining("onnx/model.onnx"),
			}),
		);
	});

	test("without its ONNX file it is named, once, and works as soon as it is there", async () => {
		writeTinyTransformer("models/broken");
		await rm("models/broken/onnx", { recursive: true });
		const provider = open("./models/broken");
		await expect(vectorsOf(provider, ["river", "car"])).rejects.toMatchObject({
			code: "PROVIDER_NOT_CONFIGURED",
			message: expect.stringContaining(
				'model "./models/broken" cannot be loaded',
			),
			hint: expect.stringContaining("onnx/model.onnx"),
		});
		if (installed === undefined) return;
		writeTinyTransformer("models/broken");
		expect(await vectorsOf(provider, ["river"])).toHaveLength(1);
	});
});

describe.skipIf(installed !== undefined)("calls of the package", () => {
	test("the model is loaded at the first text, once, from its folder only", async () => {
		const provider = open("./models/tiny");
		expect(globalThis.tinyCalls).toBeUndefined();
		await Promise.all([
			vectorsOf(provider, ["river"]),
			vectorsOf(provider, ["car"]),
		]);
		const loads = globalThis.tinyCalls?.filter(({ model }) => model) ?? [];
		expect(loads).toEqual([
			{
				task: "feature-extraction",
				model: join(folder, "models/tiny"),
				options: { local_files_only: true },
			},
		]);
	});

	test("texts of similar length go together, within a limit of tokens", async () => {
		const long = "river ".repeat(30);
		const texts = Array.from({ length: 200 }, (_, at) =>
			at % 2 === 0 ? `car ${at}` : `${long}${at}`,
		);
		await vectorsOf(open("./models/tiny"), texts);
		const runs = (globalThis.tinyCalls ?? []).flatMap(({ texts }) =>
			texts === undefined ? [] : [texts],
		);
		expect(runs.flat().sort()).toEqual([...texts].sort());
		for (const run of runs) {
			// 64 tokens are what the model takes of the longest.
			const longest = Math.max(...run.map((text) => text.length));
			expect(run.length * Math.min(64, longest / 3)).toBeLessThanOrEqual(4096);
		}
		expect(runs.length).toBeGreaterThan(1);
		expect(runs[0]?.some((text) => text.startsWith(long))).toBe(false);
	});

	test("a signal ends it between two runs", async () => {
		const controller = new AbortController();
		globalThis.tinyPause = async () => controller.abort();
		const texts = Array.from(
			{ length: 250 },
			(_, at) => `${"river ".repeat(20)}${at}`,
		);
		await expect(
			generateBatch(open("./models/tiny"), texts, {
				purpose: "document",
				signal: controller.signal,
			}),
		).rejects.toThrow();
		const runs = globalThis.tinyCalls?.filter(({ texts }) => texts) ?? [];
		expect(runs).toHaveLength(1);
	});

	test("of a model whose card is known, pooling and prefix are those of the card", async () => {
		// Its files cannot be downloaded here: what it is asked with is what counts.
		const { dimensions, limits } = open("Xenova/bge-small-en-v1.5");
		expect([dimensions, limits.maxTokensPerText]).toEqual([384, 512]);
	});

	test("the length of an unknown model is read from its configuration", async () => {
		expect(await findDimensions("of/somebody")).toBe(24);
		await expect(findDimensions("of/nothing")).rejects.toMatchObject({
			code: "PROVIDER_NOT_CONFIGURED",
			hint: expect.stringContaining("EMBEDDING__DIMENSIONS"),
		});
		await expect(findDimensions("of/nobody")).rejects.toMatchObject({
			code: "PROVIDER_NOT_CONFIGURED",
			message: 'model "of/nobody" cannot be loaded',
			hint: expect.stringContaining("huggingface.co"),
		});
	});
});

test("without the package the error names the remedy", async () => {
	const elsewhere = await mkdtemp(join(tmpdir(), "no-transformers-"));
	process.chdir(elsewhere);
	try {
		await expect(
			vectorsOf(open("Xenova/all-MiniLM-L6-v2"), ["river"]),
		).rejects.toMatchObject({
			code: "PROVIDER_NOT_CONFIGURED",
			message: expect.stringContaining(
				'the package "@huggingface/transformers" is not installed',
			),
			hint: expect.stringContaining("npm install @huggingface/transformers"),
		});
	} finally {
		process.chdir(folder);
		await rm(elsewhere, { recursive: true });
	}
});

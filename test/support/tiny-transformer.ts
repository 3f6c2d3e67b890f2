import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const words =
	"[PAD] [UNK] [CLS] [SEP] [MASK] river water lake car engine query passage the a :".split(
		" ",
	);

/**
 * Writes a sentence transformer into the folder, as it would be downloaded: a BERT
 * of one layer (embedding, matrix, tanh) with numbers made by a formula. Its
 * vectors mean nothing, but it takes and returns what a real one does.
 */
export function writeTinyTransformer(
	folder: string,
	{
		dimensions = 8,
		pooling = "mean",
		prompts = {},
	}: {
		readonly dimensions?: number;
		readonly pooling?: "mean" | "cls";
		readonly prompts?: Readonly<Record<string, string>>;
	} = {},
): void {
	for (const inner of ["onnx", "1_Pooling"])
		mkdirSync(join(folder, inner), { recursive: true });
	const json = (name: string, value: unknown) =>
		writeFileSync(join(folder, name), JSON.stringify(value));
	json("config.json", {
		model_type: "bert",
		architectures: ["BertModel"],
		hidden_size: dimensions,
		vocab_size: words.length,
		max_position_embeddings: 64,
	});
	json("1_Pooling/config.json", { pooling_mode_cls_token: pooling === "cls" });
	json("config_sentence_transformers.json", { prompts });
	json("tokenizer_config.json", {
		tokenizer_class: "BertTokenizer",
		model_max_length: 64,
		pad_token: "[PAD]",
		unk_token: "[UNK]",
		cls_token: "[CLS]",
		sep_token: "[SEP]",
		mask_token: "[MASK]",
	});
	json("tokenizer.json", tokenizer());
	writeFileSync(join(folder, "onnx/model.onnx"), onnxModel(dimensions));
}

function tokenizer() {
	const id = (word: string) => words.indexOf(word);
	const added = words.slice(0, 5).map((content) => ({
		id: id(content),
		content,
		single_word: false,
		lstrip: false,
		rstrip: false,
		normalized: false,
		special: true,
	}));
	const special = (name: string) => ({
		SpecialToken: { id: name, type_id: 0 },
	});
	const text = { Sequence: { id: "A", type_id: 0 } };
	return {
		version: "1.0",
		truncation: null,
		padding: null,
		added_tokens: added,
		normalizer: { type: "BertNormalizer", lowercase: true },
		pre_tokenizer: { type: "BertPreTokenizer" },
		post_processor: {
			type: "TemplateProcessing",
			single: [special("[CLS]"), text, special("[SEP]")],
			pair: [special("[CLS]"), text, special("[SEP]")],
			special_tokens: Object.fromEntries(
				["[CLS]", "[SEP]"].map((name) => [
					name,
					{ id: name, ids: [id(name)], tokens: [name] },
				]),
			),
		},
		decoder: { type: "WordPiece", prefix: "##", cleanup: true },
		model: {
			type: "WordPiece",
			unk_token: "[UNK]",
			continuing_subword_prefix: "##",
			max_input_chars_per_word: 100,
			vocab: Object.fromEntries(words.map((word, at) => [word, at])),
		},
	};
}

/** A ModelProto of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, field by field. */
function onnxModel(dimensions: number): Uint8Array {
	const weights = (rows: number, seed: number) =>
		Float32Array.from({ length: rows * dimensions }, (_, at) =>
			Math.sin((at + 1) * seed),
		);
	const tensor = (name: string, rows: number, seed: number) => [
		...[rows, dimensions].map((size) => number(1, size)),
		number(2, 1),
		text(8, name),
		bytes(9, new Uint8Array(weights(rows, seed).buffer)),
	];
	const node = (type: string, inputs: readonly string[], output: string) => [
		...inputs.map((name) => text(1, name)),
		text(2, output),
		text(4, type),
	];
	const value = (name: string, type: number, sizes: readonly string[]) => [
		text(1, name),
		message(2, [
			message(1, [
				number(1, type),
				message(
					2,
					sizes.map((size) => message(1, [text(2, size)])),
				),
			]),
		]),
	];
	const shape = ["batch", "sequence"];
	const graph = [
		message(1, node("Gather", ["words", "input_ids"], "embedded")),
		message(1, node("MatMul", ["embedded", "matrix"], "multiplied")),
		message(1, node("Tanh", ["multiplied"], "last_hidden_state")),
		text(2, "tiny"),
		message(5, tensor("words", words.length, 0.7)),
		message(5, tensor("matrix", dimensions, 1.3)),
		message(11, value("input_ids", 7, shape)),
		message(11, value("attention_mask", 7, shape)),
		message(12, value("last_hidden_state", 1, [...shape, "hidden"])),
	];
	return Buffer.concat([
		number(1, 8),
		message(7, graph),
		message(8, [text(1, ""), number(2, 13)]),
	]);
}

function varint(value: number): Buffer {
	const parts: number[] = [];
	let rest = value;
	for (; rest > 127; rest = Math.floor(rest / 128))
		parts.push((rest % 128) + 128);
	return Buffer.from([...parts, rest]);
}

function number(field: number, value: number): Buffer {
	return Buffer.concat([varint(field * 8), varint(value)]);
}

function bytes(field: number, value: Uint8Array): Buffer {
	return Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);
}

function text(field: number, value: string): Buffer {
	return bytes(field, Buffer.from(value));
}

function message(field: number, parts: readonly Buffer[]): Buffer {
	return bytes(field, Buffer.concat(parts));
}

import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Command } from "commander";
import { readEnvironment } from "../../config.ts";
import { RemError } from "../../errors.ts";
import { membersOf } from "../../util/present.ts";
import { modelsOf } from "../open-service.ts";
import { addHelp, addModelsOption } from "../options.ts";
import { counted } from "../output/numbers.ts";
import { type OutputOptions, Terminal } from "../output/terminal.ts";

interface GenerateOptions extends OutputOptions {
	readonly models?: string;
	readonly output: string;
	readonly rls?: boolean;
}

/** `rem schema generate --models PATH --output FILE` */
export function addSchemaGenerate(schema: Command): void {
	const command = schema
		.command("generate")
		.summary("write the models' schema as a file for psql")
		.description(
			"Writes the models' tables, vectors, triggers and indexes as SQL. The same models give the same text. psql runs it after sql/migrations/001_setup_extensions.sql and 002_kv_store_cache.sql.",
		)
		.option("--output <file>", "file to write; - is stdout", "-")
		.option("--rls", "add roles, rights and policies of row level security")
		.action(generate);
	addHelp(
		addModelsOption(command),
		[
			"rem schema generate --models src/models --output sql/schema.sql",
			"rem schema generate --models src/models/document.ts | psql -d remdb",
		],
		["POSTGRES__SCHEMA"],
	);
}

async function generate(options: GenerateOptions): Promise<void> {
	const terminal = new Terminal(options);
	const { models = "the built-in entities", output } = options;
	const entities = await modelsOf(options);
	const { generatedSchema } = await import("../../schema/files.ts");
	const { POSTGRES__SCHEMA: schema } = readEnvironment();
	const rowSecurity = options.rls === true;
	const text = generatedSchema(entities, models, { schema, rowSecurity });
	if (output === "-") return terminal.raw(text);
	await write(output, text);
	terminal.show({ output, models: entities.length }, [
		`wrote ${output}: ${counted(entities.length, "model")}`,
	]);
}

async function write(file: string, text: string): Promise<void> {
	try {
		await mkdir(dirname(file), { recursive: true });
		await writeFile(file, text);
	} catch (cause) {
		const { code } = membersOf(cause);
		throw new RemError("VALIDATION", `cannot write "${file}" (${code})`, {
			hint: "name another file with --output",
			cause,
		});
	}
}

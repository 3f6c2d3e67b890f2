import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Command } from "commander";
import { readEnvironment } from "../../config.ts";
import { RemError } from "../../errors.ts";
import type { Entity } from "../../models/entity.ts";
import { toText } from "../../sql.ts";
import { membersOf } from "../../util/present.ts";
import { UsageError } from "../failure.ts";
import { describeProblem } from "../models/model-problems.ts";
import { modelsOf } from "../open-service.ts";
import { addHelp, addModelsOption, type Invocation } from "../options.ts";
import { counted } from "../output/numbers.ts";
import { type OutputOptions, Terminal } from "../output/terminal.ts";
import { addSchemaDiff } from "./schema-diff.ts";

/** `rem schema generate | validate | diff` */
export function addSchema(program: Command, invocation: Invocation): void {
	const schema = program
		.command("schema")
		.helpGroup("Set up:")
		.summary("write models as SQL, check them, compare them with a database")
		.description(
			"generate and validate work on models alone: no database is opened.",
		);
	addSchemaGenerate(schema);
	addSchemaValidate(schema, invocation);
	addSchemaDiff(schema, invocation);
}

interface ValidateOptions extends OutputOptions {
	readonly models?: string;
}

/** `rem schema validate --models PATH` */
function addSchemaValidate(schema: Command, invocation: Invocation): void {
	const command = schema
		.command("validate")
		.summary("check models, all mistakes at once")
		.description(
			"Names everything that prevents a model from being a table, with file, model and field. Exit code 0: all are valid; 1: some are not.",
		)
		.action(async (options: ValidateOptions) => {
			if (!(await validate(options))) invocation.exitCode = 1;
		});
	addHelp(
		addModelsOption(
			command,
			"file or folder, not stdin, of modules that export your models (default: that of MODELS__PATH)",
		),
		[
			"rem schema validate --models src/models",
			"rem schema validate --models src/models/document.ts --json",
		],
		["MODELS__PATH"],
	);
}

/** Whether all are valid. */
async function validate(options: ValidateOptions): Promise<boolean> {
	const path = options.models ?? readEnvironment().MODELS__PATH;
	if (path === undefined)
		throw new UsageError(
			"the models to check are missing\n(pass --models PATH, or set MODELS__PATH)",
		);
	const { findModels } = await import("../models/load-models.ts");
	const { models, problems } = await findModels(path);
	const summary =
		problems.length === 0
			? `${counted(models.length, "model is", "models are")} valid`
			: `${counted(problems.length, "problem")} in ${counted(models.length, "model")}`;
	new Terminal(options).show(
		{
			models: models.map(({ file, entity }) => ({
				file,
				table: entity.tableName,
			})),
			problems,
		},
		[...problems.map(describeProblem), summary],
	);
	return problems.length === 0;
}

interface GenerateOptions extends OutputOptions {
	readonly models?: string;
	readonly output: string;
	readonly rls?: boolean;
}

/** `rem schema generate --models PATH --output FILE` */
function addSchemaGenerate(schema: Command): void {
	const command = schema
		.command("generate")
		.summary("write the models' schema as a file for psql")
		.description(
			"Writes the models' tables, vectors, triggers and indexes as SQL. The same models give the same text. psql runs it after sql/migrations/001_setup_extensions.sql and 002_kv_store_cache.sql; with POSTGRES__BUCKETS, after rem migrate: it contains the schema of each bucket.",
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
		["POSTGRES__SCHEMA", "POSTGRES__BUCKETS"],
	);
}

async function generate(options: GenerateOptions): Promise<void> {
	const terminal = new Terminal(options);
	const { output } = options;
	const entities = await modelsOf(options);
	const { generatedSchema } = await import("../../schema/files.ts");
	const {
		POSTGRES__SCHEMA: schema,
		POSTGRES__BUCKETS: buckets,
		MODELS__PATH: path,
	} = readEnvironment();
	const source = options.models ?? path ?? "the built-in entities";
	const rowSecurity = options.rls === true;
	const text =
		buckets === undefined
			? generatedSchema(entities, source, { schema, rowSecurity })
			: await schemaOfBuckets(entities, source, {
					schema,
					buckets,
					rowSecurity,
				});
	if (output === "-") return terminal.raw(text);
	await write(output, text);
	terminal.show({ output, models: entities.length }, [
		`wrote ${output}: ${counted(entities.length, "model")}`,
	]);
}

/** The schema of each bucket; with roles, also their rights to find the buckets. */
async function schemaOfBuckets(
	entities: readonly Entity[],
	source: string,
	{ schema, buckets, rowSecurity }: GeneratedBuckets,
): Promise<string> {
	const { generatedSchema } = await import("../../schema/files.ts");
	const { bucketSchemas } = await import("../../buckets/bucket-names.ts");
	const { directoryRightsDdl } = await import("../../buckets/directory.ts");
	const texts = bucketSchemas(schema, buckets).map((bucket) =>
		generatedSchema(entities, source, { schema: bucket, rowSecurity }),
	);
	if (rowSecurity) texts.push(toText(directoryRightsDdl(schema)));
	return texts.join("\n");
}

interface GeneratedBuckets {
	readonly schema: string;
	readonly buckets: number;
	readonly rowSecurity: boolean;
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

import type { Command } from "commander";
import type { Invocation } from "../invocation.ts";
import { addSchemaDiff } from "./schema-diff.ts";
import { addSchemaGenerate } from "./schema-generate.ts";
import { addSchemaValidate } from "./schema-validate.ts";

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

import type { Command } from "commander";
import type { Invocation } from "../invocation.ts";
import { addSchemaGenerate } from "./schema-generate.ts";
import { addSchemaValidate } from "./schema-validate.ts";

/** `rem schema generate | validate` */
export function addSchema(program: Command, invocation: Invocation): void {
	const schema = program
		.command("schema")
		.helpGroup("Set up:")
		.summary("write models as SQL, or check them")
		.description("Works on models alone: no database is opened.");
	addSchemaGenerate(schema);
	addSchemaValidate(schema, invocation);
}

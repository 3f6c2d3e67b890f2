import { coreEntities } from "../src/models/core-entities.ts";
import { baseFiles } from "../src/schema/base.ts";
import { backgroundIndexes, generatedSchema } from "../src/schema/files.ts";

/** Every committed file that code writes; a test compares them. */
export function generatedFiles(): { path: string; text: string }[] {
	const source = "the built-in entities (src/models/core-entities.ts)";
	return [
		...baseFiles({ schema: "public", kvPersistence: "unlogged" }).map(
			({ name, text }) => ({ path: `sql/migrations/${name}`, text }),
		),
		{
			path: "sql/generated_schema.sql",
			text: generatedSchema(coreEntities, source),
		},
		{
			path: "sql/background_indexes.sql",
			text: backgroundIndexes(coreEntities, source),
		},
	];
}

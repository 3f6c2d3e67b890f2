import { readFileSync } from "node:fs";
import * as z from "zod";
import { environmentSchema } from "../src/config.ts";
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
		{ path: "docs/configuration.md", text: configurationPage() },
	];
}

const intro = `<!-- Generated from src/config.ts by npm run generate. Do not edit. -->

# Configuration

A service reads these environment variables when it connects. An option of \`PostgresService.connect\` or of the command takes precedence
over its variable, a variable over its default. The database is the first of: the option \`connectionString\` (\`--url\`),
\`POSTGRES__CONNECTION_STRING\`, \`DATABASE_URL\`, \`POSTGRES__HOST\` and the variables that belong to it, the embedded database in
\`./.rem\`.

A connection string may have these parameters: \`host\`, \`port\`, \`user\`, \`password\`, \`application_name\`, \`options\`,
\`connect_timeout\` (seconds), \`statement_timeout\`, \`lock_timeout\`, \`idle_in_transaction_session_timeout\` (milliseconds), \`channel_binding\`,
\`sslmode\`, \`sslrootcert\`, \`sslcert\`, \`sslkey\`. Any other is \`CONFIG_INVALID\`, with what to write instead. For parts that an address
omits, the driver uses \`PGHOST\`, \`PGPORT\`, \`PGUSER\`, \`PGPASSWORD\`, \`PGDATABASE\`, \`PGOPTIONS\` and \`PGSSLMODE\`.

An empty variable counts as not set. A malformed one is [\`CONFIG_INVALID\`](errors.md#config_invalid), which names it and
does not repeat its value.

`;

/** The environment's schema as a table, in its order. */
function configurationPage(): string {
	const rows = Object.entries(environmentSchema.shape).map(([name, schema]) => {
		const { description = "" } = schema.meta() ?? {};
		const byDefault =
			schema instanceof z.ZodDefault ? `\`${schema.def.defaultValue}\`` : "";
		const meaning = isUsed(name)
			? description
			: `${description}. Checked, but not used by this version`;
		return [`\`${name}\``, allowed(schema), byDefault, meaning];
	});
	return intro + table(["variable", "value", "default", "meaning"], rows);
}

/** As the formatter aligns it. */
function table(titles: string[], rows: string[][]): string {
	const widths = titles.map((title, at) =>
		Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)),
	);
	const line = (cells: string[], filler = " ") =>
		`| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0, filler)).join(" | ")} |\n`;
	const rule = line(
		titles.map(() => ""),
		"-",
	);
	return line(titles) + rule + rows.map((row) => line(row)).join("");
}

/** What may be set: as the variable is written, and as it is read. */
function allowed(schema: z.ZodType): string {
	const options = { unrepresentable: "any" } as const;
	const written = z.toJSONSchema(schema, { ...options, io: "input" });
	const read = z.toJSONSchema(schema, { ...options, io: "output" });
	if (written.enum !== undefined)
		return written.enum.map((value) => `\`${value}\``).join(", ");
	return read.minimum === undefined
		? "text"
		: `${read.minimum} to ${read.maximum}`;
}

/** Two files turn variables into settings; what they do not name, nobody reads. */
function isUsed(name: string): boolean {
	return [
		"settings/settings.ts",
		"settings/database-settings.ts",
		"cli/open-service.ts",
		"cli/mcp/run-mcp.ts",
	].some((file) => {
		const reader = new URL(`../src/${file}`, import.meta.url);
		return readFileSync(reader, "utf8").includes(name);
	});
}

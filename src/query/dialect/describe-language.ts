import { RemError, reading } from "../../errors.ts";
import { listOf } from "../../models/checks.ts";
import { type Entity, model } from "../../models/entity.ts";

const models = listOf(model);

/**
 * The REM dialect and the tables of the models, to be put into the prompt of a
 * language model that writes queries for `service.query`.
 *
 * @example
 * const system = `You answer from the company's memory.\n\n${describeQueryLanguage([Document])}`
 */
export function describeQueryLanguage(entities: readonly Entity[]): string {
	const tables = reading("describeQueryLanguage", () => tablesOf(entities));
	return `${language}\nTables (* has an embedding, which SEARCH needs):\n${tables.join("\n")}\nEvery table also has: ${systemColumns}.\n`;
}

function tablesOf(entities: readonly Entity[]): string[] {
	if (models(entities) !== undefined)
		throw new RemError(
			"VALIDATION",
			"describeQueryLanguage takes an array of models",
			{ hint: "describeQueryLanguage([Document])" },
		);
	return [...entities]
		.sort((a, b) => (a.tableName < b.tableName ? -1 : 1))
		.map(describeTable);
}

const language = `REM query language. Write exactly one query, on one line.

LOOKUP "key" [IN table]                    entities by name, any spelling; LOOKUP ["a", "b"] for several
FUZZY "text" [IN table] [THRESHOLD 0.3] [LIMIT 10]      entities by nearly their name
SEARCH "text" [IN table] [FIELD field] [WHERE condition] [MIN 0.3] [LIMIT 10]      rows by meaning, without IN those of all tables
RECALL "text" [IN table, table] [LIMIT 10] [MAX TOKENS 4000]      what there is about a question: names in it, topics and linked entities together, in so many tokens; MAX TOKENS without LIMIT: as many as fit
TRAVERSE [type, type] WITH LOOKUP "key" [DEPTH 1] [DIRECTION out|in|both] [ORDER BY weight DESC] [LIMIT 50]      what an entity is linked to; DEPTH 0 counts its links
SQL table [WHERE condition] [ORDER BY column DESC] [LIMIT 100] [OFFSET 0]      rows by their columns

Put texts and keys in double quotes, and columns whose name is a keyword of SQL: "order" > 3. A condition is PostgreSQL without functions of your own, joins or subqueries:
= <> < <= > >= AND OR NOT IN BETWEEN LIKE ILIKE IS NULL; lists: tags @> ARRAY['a'], tags && ARRAY['a','b'];
JSON: metadata->>'key' = 'x', (metadata->>'n')::int > 3; times: created_at > now() - interval '7 days'.
Start with RECALL for a question, LOOKUP when you know a name, FUZZY when you half know it, SEARCH for a topic, SQL for exact conditions.
An error names the character and what was expected: correct the query and try again.
`;

const systemColumns =
	"id uuid, user_id text, tags text[], metadata jsonb, graph_edges jsonb, created_at timestamptz, updated_at timestamptz";

function describeTable(entity: Entity): string {
	const columns = entity.fields.map(
		(field) =>
			`${field.column} ${field.type}${entity.embedFields.includes(field) ? "*" : ""}`,
	);
	const keys = entity.keyFields?.map(({ column }) => column).join(" + ");
	const key = keys === undefined ? "no key" : `key ${keys}`;
	return `- ${entity.tableName} (${key}): ${columns.join(", ")}`;
}

import type pg from "pg";
import { defineEntity } from "remdb";
import * as z from "zod";
import { filmTexts } from "./films.ts";
import { zipfTexts } from "./zipf-texts.ts";

/** A text with a vector, a name and edges: what every verb can be called on. */
export const Grown = defineEntity(
	"notes",
	{ name: z.string(), content: z.string(), sessionId: z.string().optional() },
	{ entityKeyField: "name" },
);

export const grownSpace = {
	provider: "bench",
	model: "growth",
	dimensions: 384,
} as const;

/** Rows in so many tenants, each with as many. */
export interface GrownSize {
	readonly rows: number;
	readonly tenants: number;
}

const baseTexts = 4000;
const noises = 2000;

/**
 * Rows that the server makes itself, in all the tables that a load fills: each
 * text is the first half of one text and the second half of another, its vector
 * that of the first with noise, its edges lead to the row before and to the one
 * at half its number. Triggers are left out: what they would write is written.
 */
export async function growRows(
	client: pg.Client,
	{ rows, tenants }: GrownSize,
): Promise<void> {
	await loadBase(client);
	const { provider, model, dimensions } = grownSpace;
	const batch = 100_000;
	// Triggers of the model are enabled as they were: a migration would repair others, and what they write.
	const { rows: triggers } = await client.query<{ enable: string }>(
		`SELECT format('ALTER TABLE %s ENABLE %s TRIGGER %I', tgrelid::regclass, CASE tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, tgname) AS enable
FROM pg_trigger WHERE tgrelid = 'notes'::regclass AND NOT tgisinternal`,
	);
	for (const text of [
		...tables.map((name) => `ALTER TABLE ${name} DISABLE TRIGGER ALL`),
		"DROP INDEX IF EXISTS kv_store_fuzzy",
	])
		await client.query(text);
	for (let first = 1; first <= rows; first += batch) {
		const last = Math.min(rows, first + batch - 1);
		await client.query("TRUNCATE growth_batch");
		await client.query(`
INSERT INTO growth_batch
SELECT n, uuidv7(), 't' || n % ${tenants}, growth_name(n), a.start || ' ' || b.rest,
  jsonb_build_array(${edge("next", `greatest(1, n - ${tenants})`)}, ${edge("up", `greatest(1, n / 2 - (n / 2 - n) % ${tenants})`)}),
  a.start_words || b.rest_words || to_tsvector('english', growth_name(n)), a.vector + z.vector
FROM generate_series(${first}::bigint, ${last}::bigint) AS n
JOIN growth_base AS a ON a.no = n % ${baseTexts}
JOIN growth_base AS b ON b.no = (n * 7919 / ${baseTexts} + n * 31) % ${baseTexts}
JOIN growth_noise AS z ON z.no = (n / ${baseTexts} * 7 + n * 13) % ${noises}
ORDER BY n`);
		for (const text of [
			`INSERT INTO notes (id, tenant_id, name, content, graph_edges, session_id) SELECT id, tenant_id, name, content, edges, 's' || n / ${20 * tenants} FROM growth_batch ORDER BY n`,
			`INSERT INTO kv_store (tenant_id, entity_key, normalized_key, entity_type, entity_id, content_summary, graph_edges)
SELECT tenant_id, name, rem_normalize_key(name), 'notes', id, left(content, 500), edges FROM growth_batch ORDER BY n`,
			`INSERT INTO rem_words_notes (entity_id, tenant_id, version, length, often, words)
SELECT id, tenant_id, 1, l.length, l.often, words FROM growth_batch CROSS JOIN LATERAL (
  SELECT coalesce(sum(cardinality(u.positions)), 0)::integer AS length,
    array_agg(u.lexeme ORDER BY u.lexeme) FILTER (WHERE cardinality(u.positions) >= 3) AS often FROM unnest(words) AS u) AS l ORDER BY n`,
			`INSERT INTO embeddings_notes (entity_id, tenant_id, field_name, provider, model, dimensions, content_hash, chunk, embedding)
SELECT id, tenant_id, 'content', '${provider}', '${model}', ${dimensions}, '\\x00', 0, vector FROM growth_batch ORDER BY n`,
		])
			await client.query(text);
	}
	for (const text of [
		"DROP TABLE growth_batch",
		...tables.map((name) => `ALTER TABLE ${name} ENABLE TRIGGER ALL`),
		...triggers.map(({ enable }) => enable),
		"SET maintenance_work_mem = '1GB'",
		"CREATE INDEX kv_store_fuzzy ON kv_store USING gin (tenant_id, entity_key gin_trgm_ops) WITH (gin_pending_list_limit = 256)",
		...["notes", "kv_store", "rem_words_notes", "embeddings_notes"].map(
			(name) => `VACUUM (ANALYZE) ${name}`,
		),
	])
		await client.query(text);
}

const tables = ["notes", "embeddings_notes"];

function edge(type: string, n: string): string {
	return `jsonb_build_object('dst', growth_name(${n}), 'rel_type', '${type}')`;
}

/** The texts that rows are made of, their words and vectors; and the function that names row n. */
async function loadBase(client: pg.Client): Promise<void> {
	const films = filmTexts(baseTexts);
	const texts = films.length > 0 ? films : [...zipfTexts(baseTexts)];
	// Of a series that depends on the row: otherwise it is computed once for all.
	const random = (width: number) =>
		`(SELECT array_agg(${width} * (random() - 0.5))::vector FROM generate_series(no + 1, no + ${grownSpace.dimensions}))`;
	await client.query("SELECT setseed(0.5)");
	await client.query(
		`CREATE TABLE growth_base AS
SELECT (no - 1)::bigint AS no, title, start, rest,
  rem_words('english', start, false) AS start_words, rem_words('english', rest, false) AS rest_words,
  ${random(1)} AS vector
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS t (title, start, rest, no)`,
		[
			texts.map(({ name }) => name.replace(/ \(?\d+\)?.*$/, "").slice(0, 80)),
			texts.map(({ content }) => content.slice(0, middleOf(content))),
			texts.map(({ content }) => content.slice(middleOf(content))),
		],
	);
	for (const text of [
		"ALTER TABLE growth_base ADD PRIMARY KEY (no)",
		`CREATE TABLE growth_noise AS SELECT no, ${random(0.5)} AS vector FROM generate_series(0::bigint, ${noises - 1}) AS no`,
		"ALTER TABLE growth_noise ADD PRIMARY KEY (no)",
		`CREATE FUNCTION growth_name(n BIGINT) RETURNS TEXT LANGUAGE sql STABLE
RETURN (SELECT title || ' ' || n FROM growth_base WHERE no = n % ${baseTexts})`,
		"CREATE UNLOGGED TABLE growth_batch (n BIGINT, id UUID, tenant_id TEXT, name TEXT, content TEXT, edges JSONB, words TSVECTOR, vector VECTOR)",
		"ANALYZE growth_base",
		"ANALYZE growth_noise",
	])
		await client.query(text);
}

/** A space near the middle. */
function middleOf(text: string): number {
	const at = text.indexOf(" ", text.length / 2);
	return at === -1 ? text.length : at;
}

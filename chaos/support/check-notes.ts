import { createHash } from "node:crypto";
import { vectorOf } from "../../test/support/embedding-server.ts";
import {
	dimensions,
	isImpossible,
	type NoteService,
	secrets,
} from "./notes.ts";
import type { Tally } from "./tally.ts";

/** What should have a vector, said once more and without the functions of the triggers. */
const texts = `
SELECT n.id, n.tenant_id::text, n.user_id::text, f.field, f.text, sha256(convert_to(f.text, 'UTF8')) AS hash
FROM notes AS n CROSS JOIN LATERAL (VALUES ('content', n.content), ('summary', n.summary)) AS f (field, text)
WHERE n.deleted_at IS NULL AND btrim(f.text, E' \\n\\t') <> ''`;

const atAnyTime = `
WITH texts AS (${texts})
SELECT 'a vector of an older text or owner' AS problem FROM embeddings_notes AS e
LEFT JOIN texts AS t ON t.id = e.entity_id AND t.field = e.field_name
WHERE (t.hash, t.tenant_id, t.user_id) IS DISTINCT FROM (e.content_hash, e.tenant_id::text, e.user_id::text)
UNION ALL
SELECT 'a text that neither has its vector nor waits for it' FROM texts AS t
WHERE NOT EXISTS (SELECT FROM embeddings_notes AS e WHERE e.entity_id = t.id AND e.field_name = t.field AND e.content_hash = t.hash)
  AND NOT EXISTS (SELECT FROM rem_embedding_queue AS q WHERE q.entity_id = t.id AND q.field_name = t.field)`;

/** What holds in every snapshot, in the middle of everything. */
export async function checkSnapshot(
	service: NoteService,
	tally: Tally,
): Promise<void> {
	const { rows } = await service.execute<{ problem: string }>(atAnyTime);
	for (const { problem } of rows) tally.violate(`in a snapshot: ${problem}`);
	tally.count("snapshots compared");
}

interface Text {
	readonly id: string;
	readonly field: string;
	readonly text: string;
	readonly waits: string | null;
	readonly vectors:
		| readonly {
				readonly chunk: number;
				readonly start: number | null;
				readonly end: number | null;
				readonly hash: string;
				readonly vector: string;
		  }[]
		| null;
}

/** What holds when all is done: every text, and every number of every vector. */
export async function checkWhole(
	service: NoteService,
	tally: Tally,
): Promise<void> {
	await checkSnapshot(service, tally);
	const { rows } = await service.execute<Text>(`
WITH texts AS (${texts})
SELECT t.id, t.field, t.text,
  (SELECT q.state FROM rem_embedding_queue AS q WHERE q.entity_id = t.id AND q.field_name = t.field) AS waits,
  (SELECT jsonb_agg(jsonb_build_object('chunk', e.chunk, 'start', e.chunk_start, 'end', e.chunk_end,
      'hash', encode(e.content_hash, 'hex'), 'vector', e.embedding::text) ORDER BY e.chunk)
    FROM embeddings_notes AS e WHERE e.entity_id = t.id AND e.field_name = t.field) AS vectors
FROM texts AS t`);
	for (const row of rows) checkText(row, tally);
	const { rows: queued } = await service.execute<{ count: number }>(`
WITH texts AS (${texts})
SELECT count(*)::int AS count FROM rem_embedding_queue AS q
WHERE NOT EXISTS (SELECT FROM texts AS t WHERE t.id = q.entity_id AND t.field = q.field_name)`);
	if (queued[0]?.count !== 0) tally.violate("something waits that is no text");
}

function checkText({ text, waits, vectors }: Text, tally: Tally): void {
	tally.count("texts at the end");
	if (isImpossible(text)) {
		tally.count("dead letters");
		if (waits !== "dead") tally.violate(`an impossible text is ${waits}`);
		if (vectors !== null) tally.violate("an impossible text has a vector");
		return;
	}
	if (waits !== null) tally.violate(`a possible text is ${waits}`);
	if (vectors === null) {
		tally.violate("missing: a text has no vector");
		return;
	}
	const hash = createHash("sha256").update(text).digest("hex");
	vectors.forEach((stored, chunk) => {
		tally.count("vectors at the end");
		if (stored.hash !== hash) tally.violate("old: a vector of another text");
		if (stored.chunk !== chunk) tally.violate("missing: a passage");
		const passage =
			stored.start === null
				? text
				: [...text].slice(stored.start, stored.end ?? undefined).join("");
		if (!isVectorOf(passage, stored.vector))
			tally.violate("wrong: a vector is not that of its passage");
	});
	const last = vectors.at(-1);
	if (
		last !== undefined &&
		last.end !== null &&
		last.end < [...text.trimEnd()].length
	)
		tally.violate("missing: the last passage");
}

function isVectorOf(text: string, stored: string): boolean {
	const numbers = Float32Array.from(JSON.parse(stored) as number[]);
	const expected = vectorOf(text, dimensions);
	return expected.every((number, at) => number === numbers[at]);
}

/** No row of any table holds the key, and none but the notes and their cache the words of a text. */
export async function checkSecrets(
	service: NoteService,
	tally: Tally,
): Promise<void> {
	const { rows: tables } = await service.execute<{ name: string }>(
		"SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname = 'public'",
	);
	for (const { name } of tables) {
		const isTheirs = name === "public.notes" || name === "public.kv_store";
		const { rows } = await service.execute(
			`SELECT FROM ${name} AS t WHERE t::text LIKE $1 OR t::text LIKE $2 LIMIT 1`,
			[`%${secrets.apiKey}%`, isTheirs ? "" : `%${secrets.word}%`],
		);
		if (rows.length > 0) tally.violate(`a secret is in ${name}`);
		tally.count("tables searched for secrets");
	}
}

export function checkOutput(output: string, tally: Tally): void {
	for (const secret of Object.values(secrets))
		if (output.includes(secret)) tally.violate("a worker printed a secret");
}

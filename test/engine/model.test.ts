import fc from "fast-check";
import { expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type RemError } from "../../src/index.ts";
import { useService } from "../support/engine.ts";

/**
 * Random sequences of upserts, renames, deletes, restores and purges by several
 * tenants and users: the database, its cache and its vectors must contain what an
 * in-memory model of a few lines contains. REM_TEST_SEQUENCES sets how many; `npm run proofs` runs 2000.
 */
const sequences = Number(process.env.REM_TEST_SEQUENCES ?? 100);

const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		content: z.string().optional(),
		rank: z.number().int().default(7),
		colour: z.string().optional(),
	},
	{ entityKeyField: "name" },
);

const db = useService({
	models: [Note],
	embedding: { provider: "local", dimensions: 8 },
});

const tenants = ["a", "b"];
const key = fc.constantFrom("one", "Two", "o'ne", "emoji 🎬");
const tenant = fc.constantFrom(...tenants);
const user = fc.constantFrom(null, "u1", "u2");
const place = fc.nat({ max: 5 });

const entity = fc.record(
	{
		name: key,
		content: fc.constantFrom("alpha beta", "gamma", "", null),
		rank: fc.constantFrom(1, 2),
		colour: fc.constantFrom("red", null),
		metadata: fc.constantFrom({}, { x: 1 }),
	},
	{ requiredKeys: ["name"] },
);

const step = fc.oneof(
	{
		weight: 5,
		arbitrary: fc.record({
			kind: fc.constant("upsert" as const),
			tenant,
			user,
			entities: fc.array(entity, { minLength: 1, maxLength: 4 }),
		}),
	},
	{
		weight: 2,
		arbitrary: fc.record({
			kind: fc.constant("rename" as const),
			tenant,
			place,
			name: key,
		}),
	},
	...(["delete", "restore", "purge"] as const).map((kind) => ({
		weight: 1,
		arbitrary: fc.record({ kind: fc.constant(kind), tenant, place }),
	})),
);

interface ModelRow {
	id: string;
	tenant: string;
	user: string | null;
	name: string;
	content: string | null;
	rank: number;
	colour: string | null;
	metadata: object;
	deleted: boolean;
}

let run = 0;

test(
	`${sequences} random sequences equal the model`,
	async () => {
		await fc.assert(
			fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 7 }), play),
			{ numRuns: sequences, seed: 20260101 },
		);
	},
	15 * 60_000,
);

async function play(
	steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[],
): Promise<void> {
	const prefix = `run ${++run} `;
	const rows: ModelRow[] = [];
	for (const current of steps) {
		const tenantId = prefix + current.tenant;
		if (current.kind === "upsert") {
			const result = await db.service.batchUpsert({
				tableName: "notes",
				entities: current.entities,
				tenantId,
				userId: current.user,
			});
			upsertModel(rows, current, tenantId, result.ids);
			continue;
		}
		// Any row of the run, also another tenant's: then nothing may happen.
		const target = rows[current.place];
		if (target === undefined) continue;
		if (current.kind === "rename")
			await rename(rows, target, tenantId, current.name);
		else await change(rows, target, tenantId, current.kind);
	}
	for (const name of tenants) await compare(rows, prefix + name);
}

function upsertModel(
	rows: ModelRow[],
	{ entities, user }: { entities: readonly object[]; user: string | null },
	tenantId: string,
	ids: readonly string[],
): void {
	const last = new Map(
		entities.map((given, index) => [
			(given as { name: string }).name,
			{ given, index },
		]),
	);
	for (const [name, { given, index }] of last) {
		let row = rows.find(
			(other) =>
				!other.deleted &&
				other.tenant === tenantId &&
				other.user === user &&
				other.name === name,
		);
		if (row === undefined) {
			row = {
				id: ids[index] as string,
				tenant: tenantId,
				user,
				name,
				content: null,
				rank: 7,
				colour: null,
				metadata: {},
				deleted: false,
			};
			rows.push(row);
		}
		expect(ids[index]).toBe(row.id);
		Object.assign(row, given);
	}
}

async function rename(
	rows: ModelRow[],
	target: ModelRow,
	tenantId: string,
	name: string,
): Promise<void> {
	const isTaken =
		target.tenant !== tenantId ||
		target.deleted ||
		rows.some(
			(row) =>
				row !== target &&
				!row.deleted &&
				row.tenant === tenantId &&
				row.user === target.user &&
				row.name === name,
		);
	try {
		await db.service.batchUpsert({
			tableName: "notes",
			entities: [{ id: target.id, name }],
			tenantId,
		});
		expect(isTaken).toBe(false);
		target.name = name;
	} catch (error) {
		expect((error as RemError).code).toBe("DUPLICATE_KEY");
		expect(isTaken).toBe(true);
	}
}

async function change(
	rows: ModelRow[],
	target: ModelRow,
	tenantId: string,
	kind: "delete" | "restore" | "purge",
): Promise<void> {
	const repository = db.service.repository(Note);
	const isOwn = target.tenant === tenantId;
	if (kind === "purge") {
		expect(await repository.purge(target.id, tenantId)).toBe(isOwn);
		if (isOwn) rows.splice(rows.indexOf(target), 1);
		return;
	}
	const wanted = isOwn && target.deleted === (kind === "restore");
	const isTaken =
		kind === "restore" &&
		wanted &&
		rows.some(
			(row) =>
				row !== target &&
				!row.deleted &&
				row.tenant === tenantId &&
				row.user === target.user &&
				row.name === target.name,
		);
	try {
		expect(await repository[kind](target.id, tenantId)).toBe(wanted);
		expect(isTaken).toBe(false);
		if (wanted) target.deleted = kind === "delete";
	} catch (error) {
		if (!isTaken) throw error;
		expect((error as RemError).code).toBe("DUPLICATE_KEY");
	}
}

/** Rows, cache and vectors of a tenant against the model. */
async function compare(rows: readonly ModelRow[], tenantId: string) {
	const live = rows.filter((row) => row.tenant === tenantId && !row.deleted);
	const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
	const stored = await db.service.repository(Note).find({ tenantId });
	expect(
		stored
			.map(({ id, userId, name, content, rank, colour, metadata }) => ({
				id,
				tenant: tenantId,
				user: userId,
				name,
				content,
				rank,
				colour,
				metadata,
				deleted: false,
			}))
			.sort(byId),
	).toEqual([...live].sort(byId));

	const cache = await db.service.execute<{ key: string; id: string }>(
		"SELECT entity_key AS key, entity_id AS id FROM kv_store WHERE tenant_id = $1",
		[tenantId],
	);
	expect(cache.rows.sort(byId)).toEqual(
		live.map(({ name, id }) => ({ key: name, id })).sort(byId),
	);

	// Every vector is that of the text as it is; a restored row may still lack its own.
	const stale = await db.service.execute(
		`SELECT FROM embeddings_notes e LEFT JOIN notes n ON n.id = e.entity_id
WHERE e.tenant_id = $1 AND (n.deleted_at IS NOT NULL OR n.tenant_id <> e.tenant_id
  OR n.user_id IS DISTINCT FROM e.user_id OR e.content_hash <> sha256(convert_to(n.content, 'UTF8')))`,
		[tenantId],
	);
	expect(stale.rowCount).toBe(0);
}

import { describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { codeOf, useService } from "../support/engine.ts";

const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		content: z.string().optional(),
		year: z.int().optional(),
		score: z.number().optional(),
		labels: z.array(z.string()).default([]),
		seenAt: z.date().optional(),
	},
	{ entityKeyField: "name" },
);
const Country = defineEntity(
	"countries",
	{ name: z.string() },
	{ entityKeyField: "name", tenantScoped: false },
);

const models = [Note, Country] as const;
const embedding = { provider: "local", dimensions: 8 } as const;
const backgroundIndex = { enabled: false };
const tenants = ["acme", "globex", "initech", "umbrella"];
const notesOf = 7;

describe("an export of a database without buckets", () => {
	const from = useService({ models, embedding, backgroundIndex });
	const to = useService({ models, embedding, backgroundIndex, buckets: 4 });

	let text = "";
	const exported = async () => {
		if (text !== "") return text;
		for (const tenantId of tenants)
			await from.service.batchUpsert({
				tableName: "notes",
				tenantId,
				entities: Array.from({ length: notesOf }, (_, at) => ({
					name: `${tenantId} ${at}`,
					content: `Note ${at} of ${tenantId}`,
					year: 1990 + at,
					score: at / 3,
					labels: ['a "quoted" tag', "b"],
					seenAt: new Date(Date.UTC(2024, 1, 1 + at)),
					metadata: { at, nested: { value: 1.5 } },
					graphEdges: [{ dst: `${tenantId} 0`, rel_type: "follows" }],
				})),
			});
		await from.service.batchUpsert({
			tableName: "countries",
			entities: [{ name: "Chile" }],
		});
		await from.service.exportRows({
			vectors: true,
			deleted: true,
			write: (lines) => {
				text += lines;
			},
		});
		return text;
	};
	const rows = tenants.length * notesOf + 1;

	test("is imported in parts; an import that was stopped continues after the committed rows", async () => {
		const text = await exported();
		const stop = new AbortController();
		const progress: number[] = [];
		const stopped = to.service.importRows({
			text,
			commitEvery: 10,
			signal: stop.signal,
			onProgress: ({ rows }) => {
				progress.push(rows);
				if (rows > 10) stop.abort();
			},
		});
		expect(await codeOf(stopped)).toBe("CANCELLED");
		const committed = await to.service.repository(Note).count();
		expect(committed).toBeGreaterThan(0);
		expect(committed).toBeLessThan(rows - 1);
		const partly = await to.service.verifyRows({ text });
		expect(partly.missing).toBeGreaterThan(0);

		const resumed = await to.service.importRows({ text, commitEvery: 10 });
		expect(resumed).toMatchObject({
			inserted: rows - committed,
			updated: 0,
			unchanged: committed,
		});
		expect(await to.service.verifyRows({ text })).toMatchObject({
			rows,
			vectors: tenants.length * notesOf,
			tenants: tenants.length,
			missing: 0,
			differing: 0,
			differences: [],
		});
		for (const tenantId of tenants) {
			const hit = await to.service.lookupEntity({
				entityKey: `${tenantId} 3`,
				tenantId,
			});
			expect(hit?.entityKey).toBe(`${tenantId} 3`);
		}
	});

	test("verifyRows names what is missing, and the fields that differ", async () => {
		const text = await exported();
		await to.service.importRows({ text });
		const [note] = await to.service
			.repository(Note)
			.find({ tenantId: "acme", name: "acme 2" });
		const [other] = await to.service
			.repository(Note)
			.find({ tenantId: "acme", name: "acme 4" });
		if (note === undefined || other === undefined) throw new Error("no note");
		await to.service
			.repository(Note)
			.update(note.id, { year: 1 }, { tenantId: "acme" });
		await to.service.repository(Note).purge(other.id, "acme");
		const { missing, differing, differences } = await to.service.verifyRows({
			text,
		});
		expect({ missing, differing }).toEqual({ missing: 1, differing: 1 });
		expect(differences).toContainEqual(
			expect.objectContaining({ id: other.id, kind: "missing" }),
		);
		expect(differences).toContainEqual(
			expect.objectContaining({
				id: note.id,
				tenantId: "acme",
				kind: "differs",
				fields: expect.arrayContaining(["year"]),
			}),
		);
		const repaired = await to.service.importRows({ text, commitEvery: 1000 });
		expect(repaired).toMatchObject({ inserted: 1, updated: 1 });
	});

	test("verifyRows compares vectors bit by bit", async () => {
		const text = await exported();
		await to.service.importRows({ text });
		const { schema } =
			(await to.service.buckets.status()).find(({ rows }) => rows > 1) ?? {};
		await to.service.execute(
			`UPDATE ${schema}.embeddings_notes SET embedding = '[1,0,0,0,0,0,0,0]' WHERE id = (SELECT min(id::text)::uuid FROM ${schema}.embeddings_notes)`,
		);
		const found = await to.service.verifyRows({ text });
		expect(found.differences).toMatchObject([
			{ kind: "differs", fields: ["vectors"] },
		]);
		const skipped = await to.service.verifyRows({ text, vectors: "skip" });
		expect(skipped).toMatchObject({ differing: 0, vectors: 0 });
	});

	test("goes back the same way", async () => {
		const text = await exported();
		await to.service.importRows({ text, commitEvery: 5 });
		let back = "";
		await to.service.exportRows({
			vectors: true,
			deleted: true,
			write: (lines) => {
				back += lines;
			},
		});
		expect(await from.service.verifyRows({ text: back })).toMatchObject({
			rows,
			missing: 0,
			differing: 0,
		});
	});

	test("parts are not those of a caller's transaction", async () => {
		const text = await exported();
		const call = from.service.transaction((transaction) =>
			from.service.importRows({ text, commitEvery: 5, transaction }),
		);
		expect(await codeOf(call)).toBe("VALIDATION");
	});
});

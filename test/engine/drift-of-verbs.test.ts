import { describe, expect, test } from "vitest";
import * as z from "zod";
import { publicClasses } from "../../src/calls/public-methods.ts";
import {
	defineEntity,
	PostgresService,
	RemError,
	registerType,
} from "../../src/index.ts";
import { createDatabase } from "../support/engine.ts";
import { rowsVerbSamples } from "../support/rows-verb-samples.ts";
import { invoke } from "../support/sample-calls.ts";
import { sampleDimensions, verbSamples } from "../support/verb-samples.ts";

// A database that differs from the models: whatever a call meets first, its error
// is SCHEMA_DRIFT, names the table or the column, and the remedy.

const note = (text: "content" | "description") =>
	defineEntity(
		"notes",
		{
			name: z.string(),
			[text]: z.string().optional(),
			year: z.int().optional(),
			sessionId: z.string().optional(),
		},
		{ entityKeyField: "name" },
	);
const Note = note("content");

interface Drift {
	readonly change: string;
	/** What the messages of all calls that fail name. */
	readonly names: RegExp;
	/** Calls that fail, among others. */
	readonly fail: readonly string[];
}

const column = (name: string) =>
	new RegExp(
		`^(bucket \\w+: )?table "notes" differs from its model: (.*; )?column "${name}" is missing`,
	);
const relation = (name: string) =>
	new RegExp(`(^|: )relation "\\w+\\.${name}" does not exist`);

const reads = ["vectorSearch", "hybridSearch", "recall", "evaluate"];
const rowReads = ["rows.find", "rows.getById", "exportRows", "query SQL"];

const drifts: Readonly<Record<string, Drift>> = {
	"a dropped field with vectors": {
		change: "ALTER TABLE notes DROP COLUMN content CASCADE",
		names: column("content"),
		fail: [
			...reads,
			...rowReads,
			"batchUpsert",
			"link",
			"unlink",
			"importRows",
			"verifyRows",
			"rows.upsert",
			"rows.update",
			"rows.delete",
			"embeddings.status",
			"embeddings.sync",
		],
	},
	"a renamed field with vectors": {
		change: "ALTER TABLE notes RENAME COLUMN content TO body",
		names: column("content"),
		fail: [...reads, ...rowReads, "batchUpsert", "link", "rows.upsert"],
	},
	"a renamed field without vectors": {
		change: "ALTER TABLE notes RENAME COLUMN year TO released",
		names: column("year"),
		fail: [...reads, ...rowReads],
	},
	"a renamed natural key": {
		change: "ALTER TABLE notes RENAME COLUMN name TO title",
		names: column("name"),
		fail: [...reads, ...rowReads, "batchUpsert", "link", "explainRank"],
	},
	"a renamed system column": {
		change: "ALTER TABLE notes RENAME COLUMN deleted_at TO gone_at",
		names: column("deleted_at"),
		fail: [...reads, ...rowReads, "batchUpsert", "link", "rows.delete"],
	},
	"a field of another type": {
		change:
			"DROP VIEW kv_source_notes; ALTER TABLE notes ALTER COLUMN content TYPE jsonb USING to_jsonb(content)",
		names:
			/^(bucket \w+: )?table "notes" differs from its model: column "content" is jsonb, expected text/,
		fail: [...reads, "batchUpsert", "link", "importRows", "verifyRows"],
	},
	"triggers of another version of the model": {
		change: `ALTER TABLE notes RENAME COLUMN content TO description;
${registerType(note("description")).sql.kvTrigger}
ALTER TABLE notes RENAME COLUMN description TO content`,
		names:
			/^table "notes" has triggers of another version of its model: fn_notes_kv_store_upsert$/,
		// An import finds its row as it is, and writes nothing.
		fail: ["batchUpsert", "link", "rows.upsert", "rows.delete", "rows.restore"],
	},
	"a dropped table": {
		change: "DROP TABLE notes CASCADE",
		names: relation("notes"),
		fail: [...reads, ...rowReads, "batchUpsert", "forget", "explainRank"],
	},
	"a dropped table of vectors": {
		change: "DROP TABLE embeddings_notes CASCADE",
		names: relation("embeddings_notes"),
		fail: [...reads, "batchUpsert", "rows.upsert", "embeddings.status"],
	},
	"a dropped kv_store": {
		change: "DROP TABLE kv_store CASCADE",
		names: relation("kv_store"),
		fail: ["lookupEntity", "fuzzySearch", "traverse", "batchUpsert", "recall"],
	},
	"a dropped table of words": {
		change: "DROP TABLE rem_words_notes CASCADE",
		names: relation("rem_words_notes"),
		fail: ["hybridSearch", "recall", "batchUpsert", "rows.upsert"],
	},
	"a dropped function of words": {
		change: "DROP FUNCTION rem_store_words CASCADE",
		names: /function \w+\.rem_store_words\(.*\) does not exist/,
		fail: ["batchUpsert", "rows.upsert"],
	},
};

describe.each(Object.entries(drifts))("%s", (_, { change, names, fail }) => {
	test("is named, with the remedy, by every call that meets it", async () => {
		const { url, drop } = await createDatabase();
		const service = await PostgresService.connect({
			connectionString: url,
			models: [Note],
			embedding: { provider: "local", dimensions: sampleDimensions },
			backgroundIndex: { enabled: false },
		});
		try {
			await service.migrate();
			const tenantId = "default";
			const { ids } = await service.batchUpsert({
				tableName: "notes",
				entities: [
					{ name: "one", content: "the first text", sessionId: "s" },
					{ name: "two", content: "a former text", sessionId: "s" },
				] as never,
				tenantId,
			});
			const rows = { tableName: "notes", tenantId, id: ids[0] as string };
			const repository = service.repository(Note);
			const calls = new Map<string, () => Promise<unknown>>([
				...Object.entries(verbSamples(rows)).map(
					([name, { given }]) =>
						[name, () => invoke(service, name, given)] as const,
				),
				...Object.entries(rowsVerbSamples(rows)).map(
					([name, { given }]) =>
						[`rows.${name}`, () => invoke(repository, name, given)] as const,
				),
				["query SQL", () => service.query("SQL notes LIMIT 1", { tenantId })],
				[
					"EXPLAIN",
					() => service.query('EXPLAIN SEARCH "first" IN notes', { tenantId }),
				],
				["forget", () => service.forget({ tenantId: "another" })],
				...maintenanceOf(service),
			]);
			await service.execute(change);
			const before = await written(service);
			const failed: string[] = [];
			for (const [name, call] of calls) {
				const error = await call().then(
					() => undefined,
					(error: unknown) => error,
				);
				if (error === undefined) continue;
				failed.push(name);
				expect(error, name).toBeInstanceOf(RemError);
				const { code, message, hint } = error as RemError;
				expect({ code, message, hint }, name).toEqual({
					code: "SCHEMA_DRIFT",
					message: expect.stringMatching(names),
					hint: expect.stringContaining("rem migrate"),
				});
			}
			expect(failed).toEqual(expect.arrayContaining([...fail]));
			if (fail.includes("batchUpsert") && fail.includes("rows.upsert"))
				expect(await written(service)).toBe(before);
		} finally {
			await service.close();
			await drop();
		}
	});
});

/** The public methods of the indexer and the embeddings that read or write the database. */
function maintenanceOf({
	indexer,
	embeddings,
}: PostgresService<readonly [typeof Note]>): [
	string,
	() => Promise<unknown>,
][] {
	const index = { tableName: "notes", indexType: "gin" } as const;
	const model = { provider: "local", model: "lexical-v1", dimensions: 8 };
	const calls = {
		indexer: {
			queueIndex: () => indexer.queueIndex(index),
			status: () => indexer.status(),
			repair: () => indexer.repair({ missing: true }),
		},
		embeddings: {
			status: () => embeddings.status(),
			estimate: () => embeddings.estimate(),
			retry: () => embeddings.retry(),
			sync: () => embeddings.sync(),
			switch: () => orRefused(embeddings.switch(model)),
			prune: () => orRefused(embeddings.prune(model)),
		},
	};
	// No table is read by the call itself, or what fails is an attempt to build: INDEX_FAILED.
	const others = {
		indexer: ["run", "stop", "check", "build", "drain"],
		embeddings: ["registerProvider", "generateBatch", "start", "stop"],
	};
	for (const [place, { type }] of [
		["indexer", { type: "BackgroundIndexer" }],
		["embeddings", { type: "Embeddings" }],
	] as const) {
		const { methods = {} } =
			publicClasses().find((one) => one.type.name === type) ?? {};
		expect([...Object.keys(calls[place]), ...others[place]].sort()).toEqual(
			Object.keys(methods).sort(),
		);
	}
	return Object.entries(calls).flatMap(([place, ofPlace]) =>
		Object.entries<() => Promise<unknown>>(ofPlace).map(
			([name, call]): [string, () => Promise<unknown>] => [
				`${place}.${name}`,
				call,
			],
		),
	);
}

/** A model that no table has may not be switched to, or pruned while it is used. */
function orRefused(call: Promise<unknown>): Promise<unknown> {
	return call.catch((error: RemError) => {
		if (error.code !== "VALIDATION") throw error;
	});
}

test("the status of an index names the table and the column that it waits for", async () => {
	const { url, drop } = await createDatabase();
	const service = await PostgresService.connect({
		connectionString: url,
		models: [Note],
		embedding: { provider: "local", dimensions: sampleDimensions },
		backgroundIndex: { enabled: false },
	});
	try {
		await service.migrate();
		await service.execute("ALTER TABLE notes DROP COLUMN graph_edges CASCADE");
		const { indexes } = await service.indexer.status();
		expect(indexes.flatMap(({ error }) => error ?? [])).toContain(
			'table "notes" differs from its model: column "graph_edges" is missing: rem migrate adds what is missing',
		);
	} finally {
		await service.close();
		await drop();
	}
});

test("with buckets it is that of the bucket in which the call failed", async () => {
	const { url, drop } = await createDatabase();
	const service = await PostgresService.connect({
		connectionString: url,
		models: [Note],
		buckets: 3,
		defaultTenant: "t0",
		embedding: { provider: "local", dimensions: sampleDimensions },
		backgroundIndex: { enabled: false },
	});
	try {
		await service.migrate();
		const tenants = ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"];
		await service.batchUpsert({
			tableName: "notes",
			entities: tenants.map((tenantId) => ({ name: "one", tenantId })) as never,
		});
		const { rows } = await service.execute<{ tenant: string }>(
			"SELECT tenant_id AS tenant FROM public_b02.notes ORDER BY tenant_id",
		);
		const tenantId = rows[0]?.tenant as string;
		await service.execute("ALTER TABLE public_b02.notes DROP COLUMN year");
		const messageOf = (call: Promise<unknown>) =>
			call.then(
				() => "no error",
				({ code, message }: RemError) => `${code}: ${message}`,
			);
		const repository = service.repository(Note);
		const missing =
			'table "notes" differs from its model: column "year" is missing';
		// Calls of one tenant are in one bucket, the others name theirs.
		for (const call of [
			() =>
				service.vectorSearch({ tableName: "notes", queryText: "a", tenantId }),
			() => repository.find({ tenantId }),
		])
			expect(await messageOf(call())).toBe(`SCHEMA_DRIFT: ${missing}`);
		for (const call of [
			() => repository.find({}),
			() =>
				repository.upsert(
					tenants.map((tenantId) => ({
						name: "two",
						tenantId,
						year: 1,
					})) as never,
				),
		])
			expect(await messageOf(call())).toBe(
				`SCHEMA_DRIFT: bucket public_b02: ${missing}`,
			);
	} finally {
		await service.close();
		await drop();
	}
});

test("an error of one table is not explained by what differs in another", async () => {
	const { url, drop } = await createDatabase();
	const Film = defineEntity("films", {
		title: z.string(),
		year: z.int().optional(),
	});
	const service = await PostgresService.connect({
		connectionString: url,
		models: [Note, Film],
		embedding: { provider: "local", dimensions: sampleDimensions },
		backgroundIndex: { enabled: false },
	});
	try {
		await service.migrate();
		const tenantId = "default";
		await service.batchUpsert({
			tableName: "notes",
			entities: [{ name: "one" }] as never,
			tenantId,
		});
		let text = "";
		await service.exportRows({
			tables: ["notes"],
			tenantId,
			write: (part) => {
				text += part;
			},
		});
		await service.execute("ALTER TABLE films DROP COLUMN year");
		await expect(
			service.importRows({ text: text.replace('"one"', "null") }),
		).rejects.toMatchObject({
			code: "VALIDATION",
			message: expect.stringContaining("line 2"),
		});
		await service.execute("DROP TABLE kv_store CASCADE");
		await expect(
			service.lookupEntity({ entityKey: "one", tenantId }),
		).rejects.toMatchObject({
			code: "SCHEMA_DRIFT",
			message: expect.stringContaining("kv_store"),
		});
	} finally {
		await service.close();
		await drop();
	}
});

/** How many rows there are: a write that fails leaves none. */
async function written(service: {
	execute(text: string): Promise<{ rows: unknown[] }>;
}): Promise<string> {
	const { rows } = await service
		.execute("SELECT count(*) FROM notes WHERE name IN ('three', 'two')")
		.catch(() => ({ rows: [] }));
	return JSON.stringify(rows);
}

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, PostgresService } from "../../src/index.ts";
import { silentLogger } from "../../src/logger.ts";
import { createDatabase, engine } from "../support/engine.ts";

// Databases that began when the offline provider had lexical-v1 alone, and new ones.

const Note = defineEntity(
	"notes",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);
const Fact = defineEntity(
	"facts",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);

interface Embedding {
	readonly model?: string;
	readonly dimensions?: number;
}

type Models = readonly (typeof Note | typeof Fact)[];
type Service = PostgresService<Models>;

let database: Awaited<ReturnType<typeof createDatabase>> | undefined;
let service: Service | undefined;
let warnings: string[] = [];
afterEach(async () => {
	await service?.close();
	await database?.drop();
	service = undefined;
	database = undefined;
});

/** One that is still there when it was closed. */
async function createLasting(): ReturnType<typeof createDatabase> {
	if (engine === "server") return createDatabase();
	const folder = mkdtempSync(join(tmpdir(), "local-models-"));
	const drop = async () => rmSync(folder, { recursive: true });
	return { url: `file:${folder}/db`, drop };
}

/** Ends the connection, and opens another one, as a program that is started again. */
async function connect(
	embedding: Embedding,
	models: Models = [Note],
): Promise<Service> {
	await service?.close();
	database ??= await createLasting();
	warnings = [];
	service = await PostgresService.connect({
		connectionString: database.url,
		models,
		embedding: { provider: "local", ...embedding },
		logger: {
			...silentLogger,
			warn: (_: unknown, message: string) => warnings.push(message),
		},
	});
	return service;
}

/** A database as the first versions made it. */
async function former(embedding: Embedding = {}): Promise<void> {
	const first = await connect({ model: "lexical-v1", ...embedding });
	await first.migrate();
	await first.batchUpsert({ tableName: "notes", entities: rows });
}

const rows = [
	{ name: "garage", content: "Anna repairs automobiles" },
	{ name: "kitchen", content: "Bert bakes bread" },
];

async function activeModels(of: Service): Promise<string[]> {
	const { fields } = await of.embeddings.status();
	return fields.map(
		({ tableName, model, dimensions, state }) =>
			`${tableName} ${model} ${dimensions} ${state}`,
	);
}

async function advice(of: Service) {
	const { checks } = await of.doctor();
	return checks.filter(
		({ name, state }) => name === "embeddings" && state !== "ok",
	);
}

test("a new database has semantic-v1, which finds by meaning", async () => {
	const fresh = await connect({});
	await fresh.migrate();
	await fresh.batchUpsert({ tableName: "notes", entities: rows });
	expect(await activeModels(fresh)).toEqual(["notes semantic-v1 612 active"]);
	const [first] = await fresh.vectorSearch({
		tableName: "notes",
		queryText: "car mechanic",
	});
	expect(first?.name).toBe("garage");
	expect(await advice(fresh)).toEqual([]);
});

test("a database of lexical-v1 stays with it, new tables too, and doctor names the better model", async () => {
	await former();
	const later = await connect({}, [Note, Fact]);
	expect(warnings).toEqual([]);
	await later.migrate();
	for (const tableName of ["notes", "facts"] as const)
		await later.batchUpsert({
			tableName,
			entities: [{ name: "shed", content: "Carla mends bicycles" }],
		});
	expect((await activeModels(later)).sort()).toEqual([
		"facts lexical-v1 512 active",
		"notes lexical-v1 512 active",
	]);
	const { mismatched, configured } = await later.embeddings.status();
	expect(mismatched).toEqual([]);
	expect(configured).toMatchObject({ model: "lexical-v1", dimensions: 512 });
	const [first] = await later.vectorSearch({
		tableName: "notes",
		queryText: "bicycle",
	});
	expect(first?.name).toBe("shed");
	expect(await advice(later)).toEqual([
		{
			name: "embeddings",
			state: "warning",
			found: expect.stringMatching(
				/^(\w+: )?(facts, notes|notes, facts) in lexical-v1/,
			),
			remedy: expect.stringContaining(
				"rem embeddings sync --model semantic-v1 && rem embeddings switch semantic-v1",
			),
		},
	]);
});

test("the length of its vectors is that of the database as well", async () => {
	await former({ dimensions: 64 });
	const later = await connect({});
	expect(warnings).toEqual([]);
	expect(
		await later.vectorSearch({ tableName: "notes", queryText: "bread" }),
	).toHaveLength(2);
	expect((await later.embeddings.status()).configured).toEqual({
		provider: "local",
		model: "lexical-v1",
		dimensions: 64,
	});
});

test("the remedy of doctor changes the model, and new tables follow", async () => {
	await former();
	const later = await connect({});
	await later.embeddings.sync({ model: "semantic-v1" });
	expect(await later.embeddings.switch("semantic-v1")).toEqual(["notes"]);
	const [first] = await later.vectorSearch({
		tableName: "notes",
		queryText: "car mechanic",
	});
	expect(first?.name).toBe("garage");
	expect(await advice(later)).toEqual([]);
	const again = await connect({}, [Note, Fact]);
	expect(warnings).toEqual([]);
	await again.migrate();
	await again.batchUpsert({ tableName: "facts", entities: rows });
	expect((await activeModels(again)).sort()).toEqual([
		"facts semantic-v1 612 active",
		"notes lexical-v1 512 retired",
		"notes semantic-v1 612 active",
	]);
	expect(await again.embeddings.prune("lexical-v1")).toBe(2);
});

test("with lexical-v1 named in the configuration, doctor has no advice", async () => {
	await former();
	const later = await connect({ model: "lexical-v1" });
	expect(await advice(later)).toEqual([]);
});

test("with semantic-v1 named in the configuration, the difference is logged and nothing changes", async () => {
	await former();
	const later = await connect({ model: "semantic-v1" });
	expect(warnings).toEqual([
		expect.stringContaining("the configured model is local semantic-v1 (612)"),
	]);
	await later.migrate();
	expect(await activeModels(later)).toEqual(["notes lexical-v1 512 active"]);
	expect(await advice(later)).toHaveLength(1);
});

test("a table that has no vector yet takes semantic-v1 at the next migration", async () => {
	const first = await connect({ model: "lexical-v1" });
	await first.migrate();
	const later = await connect({});
	await later.migrate();
	await later.batchUpsert({ tableName: "notes", entities: rows });
	expect(await activeModels(later)).toEqual(["notes semantic-v1 612 active"]);
});

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type Entity, PostgresService } from "../../src/index.ts";
import { coreOf, createDatabase, engine } from "../support/engine.ts";

const model = (shape: Record<string, z.ZodType>) =>
	defineEntity(
		"cars",
		{ name: z.string(), ...shape },
		{ entityKeyField: "name" },
	);

const text = () => z.string().optional().meta({ embed: false });
const Colour = model({ colour: text() });
const Color = model({ color: text() });

let database: Awaited<ReturnType<typeof createDatabase>>;
let service: PostgresService<readonly Entity[]>;
let warned: string[];

beforeEach(async () => {
	warned = [];
	database = await createDatabase();
	({ service } = await connect([]));
});

async function connect(models: readonly Entity[]) {
	const quiet = () => {};
	const service = await PostgresService.connect<readonly Entity[]>({
		connectionString: database.url,
		models,
		embedding: { provider: "local", dimensions: 8 },
		logger: {
			debug: quiet,
			info: quiet,
			warn: (_: object, text: string) => warned.push(text),
			error: quiet,
		},
	});
	return {
		service,
		models,
		[Symbol.asyncDispose]: () => service.close(),
	};
}

/** What was said of tables. */
function warnings(): string[] {
	return warned.filter((text) => text.startsWith("table "));
}

afterEach(async () => {
	await service.close();
	await database.drop();
});

/** The service with another version of the model. */
async function become(entity: Entity) {
	const known = service.registry
		.all()
		.find(({ entity: { tableName } }) => tableName === entity.tableName);
	if (known !== undefined) service.registry.remove(known.entity);
	return service.register(entity);
}

async function store(entity: Entity, values: Record<string, unknown>) {
	await become(entity);
	await service.repository(entity).upsert({ name: "bus", ...values });
}

async function read(entity: Entity) {
	const [row] = await service.repository(entity).find({ name: "bus" });
	return row as Record<string, unknown> | undefined;
}

describe("a field under a new name", () => {
	test("is a question, not an empty column", async () => {
		await store(Colour, { colour: "red" });
		await expect(become(Color)).rejects.toMatchObject({
			code: "SCHEMA_DRIFT",
			message: expect.stringContaining(
				'column "color" is missing, and "colour" is not in the model any more: renamed?',
			),
			hint: expect.stringContaining('RENAME COLUMN "colour" TO "color"'),
		});
	});

	test("retains its values by the statement that is offered", async () => {
		await store(Colour, { colour: "red" });
		await become(Color).catch(() => undefined);
		service.registry.add(Color);
		const [first] = await service.schema.diff();
		expect(first?.risk?.kind).toBe("rename");
		await service.execute(first?.statements.join("\n") ?? "");
		await service.migrate();
		expect(await service.schema.diff()).toEqual([]);
		expect(await read(Color)).toMatchObject({ color: "red" });
	});

	test("is another field by the other statement", async () => {
		await store(Colour, { colour: "red" });
		const error = await become(Color).catch((cause: unknown) => cause);
		const [comment] =
			/COMMENT ON COLUMN .*';/.exec(String((error as { hint: string }).hint)) ??
			[];
		await service.execute(comment ?? "");
		await become(Color);
		expect(await read(Color)).toMatchObject({ color: null });
		expect((await service.execute("SELECT colour FROM cars")).rows).toEqual([
			{ colour: "red" },
		]);
	});
});

test("a column that left the model earlier is not taken for a new field", async () => {
	await store(Colour, { colour: "red" });
	await become(model({}));
	await become(Color);
	expect(await read(Color)).toMatchObject({ color: null });
});

test("a field under a new name and with another type is a question, too", async () => {
	await store(Colour, { colour: "7" });
	const Wheeled = model({ wheels: z.number().optional() });
	await expect(become(Wheeled)).rejects.toMatchObject({
		code: "SCHEMA_DRIFT",
		message: expect.stringContaining(
			'column "wheels" is missing, and "colour" (text, expected double precision) is not in the model any more: renamed?',
		),
	});
	service.registry.add(Wheeled);
	const [rename] = await service.schema.diff();
	await service.execute(rename?.statements.join("\n") ?? "");
	const [retype] = await service.schema.diff();
	expect(retype?.risk?.kind).toBe("rewrite");
	await service.execute(retype?.statements.join("\n") ?? "");
	await service.migrate();
	expect(await service.schema.diff()).toEqual([]);
	expect(await read(Wheeled)).toMatchObject({ wheels: 7 });
});

test("of several columns one of the same type is offered first", async () => {
	const Two = model({ colour: text(), wheels: z.number().optional() });
	await store(Two, { colour: "red", wheels: 4 });
	const After = model({ colours: z.number().optional(), paint: text() });
	await expect(become(After)).rejects.toMatchObject({
		hint: expect.stringMatching(
			/"wheels" TO "colours"[\s\S]*"colour" TO "paint"/,
		),
	});
});

test("a table without rows has nothing to strand", async () => {
	await become(Colour);
	await become(Color);
	await store(Color, { color: "red" });
	expect(await read(Color)).toMatchObject({ color: "red" });
});

test("of several the nearest name is offered, and a comment of the user's stays", async () => {
	const Two = model({ colour: text(), maker: text() });
	await store(Two, { colour: "red", maker: "MAN" });
	await service.execute("COMMENT ON COLUMN cars.maker IS 'who made it'");
	const error = await become(model({ makers: text() })).catch(
		(cause: unknown) => cause,
	);
	expect(error).toMatchObject({
		code: "SCHEMA_DRIFT",
		hint: expect.stringContaining(`IS 'who made it; remdb: not in the model'`),
	});
});

describe("a table under a new name", () => {
	const shape = () => ({
		title: z.string(),
		year: z.int().optional(),
		plot: z.string().optional().meta({ embed: true }),
	});
	const options = { entityKeyField: "title", unique: [["year"]] } as const;
	const Film = defineEntity("films", shape(), options);
	const Movie = defineEntity("movies", shape(), options);
	// A name that PostgreSQL would cut.
	const Long = defineEntity(`${"long_".repeat(11)}names`, shape(), options);

	async function storeFilm() {
		await service.register(Film);
		await service.repository(Film).upsert({
			title: "Heat",
			year: 1995,
			plot: "A policeman hunts a thief in Los Angeles.",
		});
		service.registry.remove(Film);
	}

	test.each([
		["movies", Movie],
		["a name that is cut", Long],
	])(
		"retains rows, vectors and names by the statements that are offered: %s",
		async (_, After) => {
			await storeFilm();
			service.registry.add(After);
			const differences = await service.schema.diff();
			expect(differences).toMatchObject([
				{
					table: After.tableName,
					messages: [
						'table is missing, and "films", which has its columns, is in no model here: renamed?',
					],
					risk: { kind: "rename" },
					blocks: false,
				},
				{ table: After.tableName, messages: ["table is missing"] },
			]);
			expect(await service.schema.plan()).toEqual({ files: [], differences });
			const statements = differences.flatMap((one) => one.statements);
			await service.execute(`BEGIN;\n${statements.join("\n")}\nCOMMIT;`);
			expect(await service.schema.diff()).toEqual([]);
			await service.migrate();
			expect(warnings()).toEqual([]);
			expect(await service.schema.diff()).toEqual([]);

			const { rows } = await service.execute(`
SELECT relname FROM pg_class WHERE relname LIKE '%films%'
UNION ALL SELECT conname FROM pg_constraint WHERE conname LIKE '%films%' AND contype <> 'n'
UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE '%films%'
UNION ALL SELECT proname FROM pg_proc WHERE proname LIKE '%films%'
UNION ALL SELECT entity_type FROM kv_store WHERE entity_type = 'films'
UNION ALL SELECT entity_type FROM rem_embedding_models WHERE entity_type = 'films'
UNION ALL SELECT name FROM rem_migrations WHERE name = 'entity:films'`);
			expect(rows).toEqual([]);
			const hit = await service.lookupEntity({ entityKey: "Heat" });
			expect(hit).toMatchObject({ entityType: After.tableName });
			const { fields } = await service.embeddings.status();
			expect(fields).toMatchObject([
				{ tableName: After.tableName, texts: 1, embedded: 1, queued: 0 },
			]);
			const [nearest] = await service.vectorSearch({
				tableName: After.tableName,
				queryText: "policeman",
			});
			expect(nearest).toMatchObject({ title: "Heat" });
			await service.repository(After).upsert({ title: "Ronin", year: 1998 });
			expect(await service.kv.verify()).toMatchObject({ differing: 0 });
		},
	);

	test("is made beside the other one, with one warning", async () => {
		await storeFilm();
		await service.register(Movie);
		await service.migrate();
		const { schema } = coreOf(service).settings;
		expect(warnings()).toEqual([
			`table "movies" is new, and "films", which has its columns, is in no model here; if it was renamed, drop the new one while it is empty (DROP TABLE "${schema}"."movies", "${schema}"."embeddings_movies", "${schema}"."rem_words_movies" CASCADE;) and run the statements of \`rem schema diff\``,
		]);
		expect(await service.schema.diff()).toEqual([]);
		expect(await service.repository(Movie).count()).toBe(0);
		expect((await service.execute("SELECT title FROM films")).rows).toEqual([
			{ title: "Heat" },
		]);
	});

	test("can still be the other one after the warning, by what it says", async () => {
		await storeFilm();
		await service.register(Movie);
		const [drop = ""] =
			/DROP TABLE .* CASCADE;/.exec(warnings()[0] ?? "") ?? [];
		await service.execute(drop);
		const [rename] = await service.schema.diff();
		expect(rename?.risk?.kind).toBe("rename");
		await service.execute(`BEGIN;\n${rename?.statements.join("\n")}\nCOMMIT;`);
		await service.migrate();
		expect(await service.schema.diff()).toEqual([]);
		const hit = await service.lookupEntity({ entityKey: "Heat" });
		expect(hit).toMatchObject({ entityType: "movies" });
		const [nearest] = await service.vectorSearch({
			tableName: "movies",
			queryText: "policeman",
		});
		expect(nearest).toMatchObject({ title: "Heat" });
		expect(await service.kv.verify()).toMatchObject({ differing: 0 });
	});

	// One connection is all that the embedded database has.
	test.runIf(engine === "server")(
		"two services with models of one shape migrate one schema",
		async () => {
			const Book = defineEntity("books", shape(), options);
			const Play = defineEntity("plays", shape(), options);
			await using films = await connect([Film, Book]);
			await using movies = await connect([Movie, Play]);
			for (const { service, models } of [films, movies, films, movies]) {
				await service.migrate();
				for (const model of models)
					await service.repository(model).upsert({ title: "Heat" });
				expect(await service.schema.diff()).toEqual([]);
				expect(await service.schema.plan()).toEqual({
					files: [],
					differences: [],
				});
			}
			expect(warnings().map((text) => text.slice(0, 14))).toEqual([
				'table "movies"',
				'table "plays" ',
			]);
		},
	);

	test("is not asked about where the columns are others, or the old table is empty", async () => {
		await storeFilm();
		await service.register(
			defineEntity("people", { name: z.string(), born: z.int() }),
		);
		await service.execute("DELETE FROM films");
		await service.register(Movie);
		expect(await service.repository(Movie).count()).toBe(0);
	});
});

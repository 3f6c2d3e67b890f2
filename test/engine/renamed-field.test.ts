import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type Entity, PostgresService } from "../../src/index.ts";
import { createDatabase } from "../support/engine.ts";

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

beforeEach(async () => {
	database = await createDatabase();
	service = await PostgresService.connect<readonly Entity[]>({
		connectionString: database.url,
		models: [],
		embedding: { provider: "local", dimensions: 8 },
	});
});
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

	test("keeps its values by the statement that is offered", async () => {
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

test("another type is no rename", async () => {
	await store(Colour, { colour: "red" });
	const Wheeled = model({ wheels: z.number().optional() });
	await become(Wheeled);
	expect(await read(Wheeled)).toMatchObject({ wheels: null });
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

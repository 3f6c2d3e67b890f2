import { expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, RemError } from "../../src/index.ts";
import { useService } from "../support/engine.ts";

// A table whose columns or key are not those of the model: whatever SQLSTATE the
// database reports, the calls of a repository name the table and the column.

const values = {
	bigint: [z.int(), 7],
	double: [z.number(), 1.5],
	text: [z.string().meta({ embed: false }), "some text"],
	boolean: [z.boolean(), true],
	timestamptz: [z.date(), new Date("2020-01-02T03:04:05.678Z")],
	uuid: [z.uuid(), "0198c0de-0000-7000-8000-000000000001"],
	jsonb: [z.record(z.string(), z.unknown()), { a: 1 }],
	texts: [z.array(z.string()), ["a", "b"]],
	numbers: [z.array(z.int()), [1, 2]],
} as const satisfies Record<string, readonly [z.ZodType, unknown]>;

/** Types that a column of the name may have in the database. */
const types = [
	"bigint",
	"integer",
	"double precision",
	"numeric",
	"text",
	"varchar(9)",
	"boolean",
	"timestamp with time zone",
	"date",
	"uuid",
	"jsonb",
	"bytea",
	"text[]",
	"bigint[]",
];

const typed = Object.entries(values).map(([name, [shape]]) =>
	defineEntity(
		`of_${name}`,
		{ name: z.string(), value: shape.optional() },
		{ entityKeyField: "name" },
	),
);

const film = (tableName: string) =>
	defineEntity(
		tableName,
		{ name: z.string(), year: z.int().optional() },
		{ entityKeyField: "name" },
	);
const changes = {
	no_column: [
		"ALTER TABLE no_column DROP COLUMN year",
		'column "year" is missing',
	],
	no_table: ["DROP TABLE no_table CASCADE", 'relation "'],
	required: [
		"ALTER TABLE required ADD COLUMN isbn text NOT NULL",
		'column "isbn" must not be null',
	],
	no_key: [
		"DROP INDEX uq_no_key",
		"its natural key is none, expected (tenant_id, user_id, name)",
	],
	other_key: [
		"DROP INDEX uq_other_key; CREATE UNIQUE INDEX uq_other_key ON other_key (tenant_id, user_id, year) NULLS NOT DISTINCT WHERE deleted_at IS NULL",
		"its natural key is (tenant_id, user_id, year), expected (tenant_id, user_id, name)",
	],
} as const;
const films = Object.keys(changes).map(film);
const unchanged = film("unchanged");

const db = useService({
	models: [...typed, ...films, unchanged],
	embedding: { provider: "local", dimensions: 8 },
	backgroundIndex: { enabled: false },
});

/** What the calls of a repository that did not succeed have thrown. */
async function failures(
	entity: (typeof typed)[number] | (typeof films)[number],
	values: Record<string, unknown>,
): Promise<RemError[]> {
	const rows = db.service.repository(entity as (typeof films)[number]);
	const tenantId = "t";
	// Lists and objects are filtered by what they contain.
	const filter = Object.fromEntries(
		Object.entries({ ...values, tenantId }).map(([name, value]) => [
			name,
			typeof value === "object" && !((value as unknown) instanceof Date)
				? { contains: value }
				: value,
		]),
	);
	const entities = [{ name: "b", ...values }];
	const calls: (() => Promise<unknown>)[] = [
		() => rows.upsert({ name: "a", ...values }, { tenantId }),
		() =>
			db.service.batchUpsert({
				tableName: entity.tableName,
				entities: entities as readonly { name: string }[],
				tenantId,
			}),
		() => rows.updateMany({ name: "a" }, values, { tenantId }),
		() => rows.find(filter),
		() => rows.find({ tenantId }, { orderBy: "name" }),
		() => rows.findOne(filter),
		() => rows.count(filter),
		() => rows.findPage(filter, { limit: 1 }),
		async () => {
			for await (const _ of rows.iterate(filter));
		},
	];
	const found: RemError[] = [];
	for (const call of calls)
		await call().catch((error: unknown) => {
			if (!(error instanceof RemError)) throw error;
			found.push(error);
		});
	return found;
}

test.each(Object.entries(values))(
	"a field of type %s whose column has another type",
	async (name, [, value]) => {
		const table = `of_${name}`;
		const entity = typed.find(({ tableName }) => tableName === table);
		if (entity === undefined) throw new Error(table);
		expect(await failures(entity, { value })).toEqual([]);
		const failed: string[] = [];
		for (const type of types) {
			await db.service.execute(`DELETE FROM ${table};
ALTER TABLE ${table} ALTER COLUMN value TYPE ${type} USING NULL`);
			for (const { code, message, hint } of await failures(entity, { value })) {
				failed.push(type);
				expect({ code, message, hint }, type).toEqual({
					code: "SCHEMA_DRIFT",
					message: expect.stringMatching(
						`^table "${table}" differs from its model: column "value" is `,
					),
					hint: expect.stringContaining("rem schema diff"),
				});
			}
		}
		expect(failed).not.toEqual([]);
	},
);

test.each(Object.entries(changes))(
	"a table with %s",
	async (table, [change, difference]) => {
		const entity = films.find(({ tableName }) => tableName === table);
		if (entity === undefined) throw new Error(table);
		await db.service.execute(change);
		const found = await failures(entity, { year: 1995 });
		expect(found).not.toEqual([]);
		for (const error of found)
			expect({
				code: error.code,
				message: error.message,
				hint: error.hint,
			}).toEqual({
				code: "SCHEMA_DRIFT",
				message: expect.stringContaining(
					`table "${table}" differs from its model: ${difference}`,
				),
				hint: expect.stringContaining("rem schema diff"),
			});
	},
);

test("an error of a table like its model stays what it is", async () => {
	const { service } = db;
	const rows = service.repository(unchanged);
	await rows.upsert({ name: "a", year: 1 }, { tenantId: "t" });
	await service.execute(
		"ALTER TABLE unchanged ADD CONSTRAINT few CHECK (1 / (year - 5) IS NOT NULL)",
	);
	const upsert = rows.upsert({ name: "b", year: 5 }, { tenantId: "t" });
	await expect(upsert).rejects.toMatchObject({
		code: "DATABASE",
		sqlState: "22012",
	});
});

test("inside a transaction the table is named as well", async () => {
	const [entity] = typed;
	if (entity === undefined) throw new Error("no model");
	await db.service.execute(
		"ALTER TABLE of_bigint ALTER COLUMN value TYPE boolean USING NULL",
	);
	const write = db.service.transaction((transaction) =>
		db.service
			.repository(entity)
			.upsert({ name: "a", value: 1 } as never, { tenantId: "t", transaction }),
	);
	await expect(write).rejects.toMatchObject({
		code: "SCHEMA_DRIFT",
		message: expect.stringContaining(
			'table "of_bigint" differs from its model',
		),
	});
});

import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import {
	type BoundScope,
	type ConnectOptions,
	defineEntity,
	PostgresService,
} from "../../src/index.ts";
import type { ColumnType } from "../../src/models/column-types.ts";
import { ident, literal, raw, sql, toText } from "../../src/sql.ts";
import { codeOf, createDatabase, useService } from "../support/engine.ts";
import { extremesByType, systemExtremes } from "../support/extremes.ts";
import { FakeProvider } from "../support/fake-provider.ts";
import { storedRows } from "../support/stored-rows.ts";

// What exportRows writes is what importRows stores, row by row and bit by bit.

const types = Object.keys(extremesByType) as ColumnType[];
const columnOf = (type: ColumnType) => `v${types.indexOf(type)}`;

const Extreme = defineEntity(
	"extremes",
	{
		name: z.string().optional(),
		content: z.string().optional(),
		...Object.fromEntries(
			types.map((type) => [
				columnOf(type),
				z.optional(extremesByType[type].schema),
			]),
		),
	},
	{ entityKeyField: "name" },
);
const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		content: z.string().optional(),
		description: z.string().optional(),
	},
	{ entityKeyField: "name" },
);
const Place = defineEntity(
	"places",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name", tenantScoped: false },
);
const models = [Extreme, Note, Place] as const;
const db = useService({ models, embedding: new FakeProvider() });

/** What imports write to that need no database of their own. */
const target = useService({ models, embedding: new FakeProvider() });

/** An empty database of the same models, and its provider. */
async function emptyTarget(
	options: Pick<ConnectOptions<typeof models>, "strictTenancy"> = {},
	provider = new FakeProvider(),
) {
	const database = await createDatabase();
	const service = await PostgresService.connect({
		connectionString: database.url,
		models,
		embedding: provider,
		...options,
	});
	onTestFinished(async () => {
		await service.close();
		await database.drop();
	});
	await service.migrate();
	return { service, provider };
}

type Service = PostgresService<typeof models>;
type ExportOptions = Omit<Parameters<Service["exportRows"]>[0], "write">;

async function exported(options: ExportOptions = {}): Promise<string> {
	let text = "";
	await db.service.exportRows({
		...options,
		write: (lines) => {
			text += lines;
		},
	});
	return text;
}

const linesOf = (text: string) => text.trimEnd().split("\n");

/** The text with one of its lines changed, or left out. */
function changed(
	text: string,
	at: number,
	change: (line: string) => string | undefined,
): string {
	const lines = linesOf(text);
	const line = change(lines.at(at) ?? "");
	lines.splice(at, 1, ...(line === undefined ? [] : [line]));
	return `${lines.join("\n")}\n`;
}

async function fill(tenantId: string) {
	const edges = [
		{ dst: "two", rel_type: "knows", weight: 0.5, properties: { since: 1999 } },
	];
	await db.service.batchUpsert({
		tableName: "notes",
		tenantId,
		entities: [
			{ name: "one", content: "first", description: "more", graphEdges: edges },
			{
				name: "two",
				content: "second \u2028 text",
				userId: "me",
				tags: ["a b"],
			},
			{ name: "three" },
			{ name: "gone", content: "deleted" },
		],
	});
	const notes = db.service.repository(Note);
	const [gone] = await notes.find({ name: "gone", tenantId });
	await notes.delete(gone?.id ?? "", tenantId);
}

test("rows, edges, vectors, users and the cache are the same, and no provider is asked", async () => {
	await fill("same");
	await db.service.batchUpsert({
		tableName: "places",
		entities: [{ name: "here", content: "a place of all tenants" }],
	});
	const text = await exported({ vectors: true, deleted: true });
	const { service, provider } = await emptyTarget();
	const result = await service.importRows({ text });
	expect(result).toMatchObject({ embeddingsGenerated: 0, embeddingsQueued: 0 });
	expect(provider.asked).toEqual([]);
	expect(await storedRows(service)).toEqual(await storedRows(db.service));
	expect(
		(await service.execute("SELECT FROM rem_embedding_queue")).rowCount,
	).toBe(0);
	expect(
		await service.lookupEntity({ entityKey: "One", tenantId: "same" }),
	).toMatchObject({ entityKey: "one", graphEdges: [{ dst: "two" }] });
	// Once more: the rows are the same rows.
	const again = await service.importRows({ text });
	expect(again).toMatchObject({
		inserted: 0,
		updated: 0,
		unchanged: result.inserted,
		vectors: 0,
	});
	expect(await storedRows(service)).toEqual(await storedRows(db.service));
});

const columnTypes: Readonly<Record<string, string>> = {
	...Object.fromEntries(types.map((type) => [columnOf(type), type])),
	metadata: "jsonb",
	graph_edges: "jsonb",
	tags: "text[]",
	created_at: "timestamptz",
};

test.each([
	...types.map((type) => ({
		column: columnOf(type),
		...extremesByType[type],
	})),
	// What no reader could use is refused of these two.
	...Object.entries(systemExtremes).map(([column, { kept, refused }]) => ({
		column,
		kept,
		refused: ["metadata", "graph_edges"].includes(column) ? [] : refused,
	})),
])(
	"$column: what psql wrote arrives as it was",
	async ({ column, kept, refused = [] }) => {
		const tenantId = `column ${column}`;
		for (const value of [...kept, ...refused])
			await db.service.execute(
				toText(
					sql`INSERT INTO extremes (tenant_id, ${ident(column)}) VALUES (${literal(tenantId)}, (${raw(value)})::${raw(columnTypes[column] ?? "")})`,
				),
			);
		const text = await exported({ tenantId, tables: ["extremes"] });
		await target.service.importRows({ text });
		const rows = (from: Service) =>
			from.execute(
				`SELECT id, ${column} IS NULL AS is_null, ${column}::text AS text, created_at::text FROM extremes WHERE tenant_id = $1 ORDER BY id`,
				[tenantId],
			);
		const arrived = await rows(target.service);
		expect(arrived).toEqual(await rows(db.service));
		expect(arrived.rowCount).toBe(kept.length + refused.length);
	},
);

test("vectors of other models come along; only the active one must be that of the target", async () => {
	const tenantId = "models";
	await fill(tenantId);
	await db.service.execute(
		`INSERT INTO embeddings_notes (entity_id, tenant_id, user_id, field_name, provider, model, dimensions, content_hash, embedding)
SELECT id, tenant_id, user_id, 'content', 'old', 'm0', 3, sha256('x'), '[1e-38, -0, 3.4028235e38]' FROM notes WHERE tenant_id = $1 AND content = 'first'`,
		[tenantId],
	);
	await db.service.execute(
		"INSERT INTO rem_embedding_models (entity_type, provider, model, dimensions, state) VALUES ('notes', 'old', 'm0', 3, 'retired')",
	);
	const text = await exported({ tenantId, vectors: true, tables: ["notes"] });
	const { service } = await emptyTarget();
	await service.importRows({ text });
	const vectors = (from: Service) =>
		from.execute(
			"SELECT encode(vector_send(embedding), 'hex') AS bits FROM embeddings_notes WHERE provider = 'old'",
		);
	expect(await vectors(service)).toEqual(await vectors(db.service));
	const { fields } = await service.embeddings.status();
	expect(fields.find(({ model }) => model === "m0")).toMatchObject({
		state: "retired",
	});
	// The text of that vector is another one: the active model's vector is of the text.
	for (const [other, code] of [
		[new FakeProvider("fake", "m2"), "PROVIDER_NOT_CONFIGURED"],
		[new FakeProvider("fake", "m1", 16), "DIMENSION_MISMATCH"],
	] as const) {
		const target = await emptyTarget({}, other);
		expect(await codeOf(target.service.importRows({ text }))).toBe(code);
		const { rows } = await target.service.execute("SELECT FROM notes");
		expect(rows).toEqual([]);
		const skipped = await target.service.importRows({ text, vectors: "skip" });
		expect(skipped).toMatchObject({ vectors: 0, embeddingsQueued: 3 });
		await target.service.embeddings.sync();
		expect(target.provider.asked).toHaveLength(3);
	}
});

test("without vectors, texts wait for them; those that the stored rows have stay", async () => {
	await fill("waiting");
	const text = await exported({ tenantId: "waiting", tables: ["notes"] });
	const { service, provider } = await emptyTarget();
	expect(await service.importRows({ text })).toMatchObject({
		inserted: 3,
		vectors: 0,
		embeddingsQueued: 3,
	});
	await service.embeddings.sync();
	expect(provider.asked).toHaveLength(3);
	await service.importRows({ text });
	await service.embeddings.sync();
	expect(provider.asked).toHaveLength(3);
});

test("a text whose vector the file lacks waits for it, unless the stored row has it", async () => {
	await fill("lacking");
	const options = {
		tenantId: "lacking",
		tables: ["notes"],
		vectors: true,
	} as const;
	const whole = await exported(options);
	// The row "one" has two vectors: that of its description is left out.
	const at = linesOf(whole).findIndex((line) => line.includes('"name":"one"'));
	const lacking = changed(
		changed(whole, at, (line) => {
			const { vectors, ...row } = JSON.parse(line);
			return JSON.stringify({
				...row,
				vectors: vectors.filter(
					({ field }: { field: string }) => field === "content",
				),
			});
		}),
		-1,
		(line) => line.replace('"vectors":3', '"vectors":2'),
	);
	const { service, provider } = await emptyTarget();
	const queued = async () => {
		const { rows } = await service.execute(
			"SELECT field_name FROM rem_embedding_queue",
		);
		return rows.map(({ field_name }) => field_name);
	};
	expect(await service.importRows({ text: lacking })).toMatchObject({
		vectors: 2,
		embeddingsQueued: 1,
	});
	expect(await queued()).toEqual(["description"]);
	expect(await service.importRows({ text: lacking })).toMatchObject({
		updated: 0,
		embeddingsQueued: 0,
	});
	expect(await queued()).toEqual(["description"]);
	// Its vector arrives, and nothing waits; a file without it leaves it there.
	expect(await service.importRows({ text: whole })).toMatchObject({
		updated: 1,
	});
	expect(await queued()).toEqual([]);
	await service.importRows({ text: lacking });
	expect(await queued()).toEqual([]);
	await service.embeddings.sync();
	expect(provider.asked).toEqual([]);
	await service.execute("DELETE FROM embeddings_notes");
	await service.importRows({ text: lacking });
	expect(await queued()).toEqual(["description"]);
	await service.embeddings.sync();
	expect(provider.asked).toEqual(["more"]);
});

test("a row that takes the place of an older one loses the older text's vectors, of every model", async () => {
	const { service } = await emptyTarget();
	const tenantId = "older";
	await fill(tenantId);
	const options = { tenantId, tables: ["notes"], vectors: true } as const;
	await service.importRows({ text: await exported(options) });
	await service.execute(
		`INSERT INTO embeddings_notes (entity_id, tenant_id, field_name, provider, model, dimensions, content_hash, embedding)
SELECT id, tenant_id, 'content', 'old', 'm0', 1, sha256(content::bytea), '[1]' FROM notes WHERE name = 'one'`,
	);
	const notes = db.service.repository(Note);
	const one = await notes.findOne({ name: "one", tenantId });
	await notes.update(one?.id ?? "", { content: "changed" }, { tenantId });
	await service.importRows({ text: await exported(options) });
	const { rows } = await service.execute(
		"SELECT model, field_name FROM embeddings_notes JOIN notes ON notes.id = entity_id WHERE name = 'one' ORDER BY field_name",
	);
	expect(rows).toEqual([
		{ model: "m1", field_name: "content" },
		{ model: "m1", field_name: "description" },
	]);
});

test("a tenant, a user and tables narrow an export", async () => {
	await fill("narrow");
	await fill("broad");
	const names = async (options: ExportOptions) =>
		linesOf(await exported({ tables: ["notes"], ...options }))
			.slice(1, -1)
			.map((line) => JSON.parse(line).row)
			.filter(({ tenant_id }) => ["narrow", "broad"].includes(tenant_id))
			.map(({ name }) => name)
			.sort();
	const live = ["one", "three", "two"];
	expect(await names({ tenantId: "narrow" })).toEqual(live);
	expect(await names({ tenantId: "narrow", userId: null })).toEqual([
		"one",
		"three",
	]);
	expect(await names({ tenantId: "narrow", userId: "me" })).toEqual(live);
	expect(await names({ tenantId: "narrow", deleted: true })).toEqual([
		"gone",
		...live,
	]);
	expect(await names({})).toHaveLength(6);
	const scope = db.service.scope({ tenantId: "narrow" });
	let text = "";
	const write = (lines: string) => {
		text += lines;
	};
	expect(await scope.exportRows({ write, tables: ["notes"] })).toMatchObject({
		rows: 3,
	});
	expect(await codeOf(scope.importRows({ text: await exported() }))).toBe(
		"TENANT_MISMATCH",
	);
	expect(await scope.importRows({ text })).toMatchObject({ unchanged: 3 });
	const ofUser = db.service.scope({ tenantId: "narrow", userId: "you" });
	expect(await codeOf(ofUser.importRows({ text }))).toBe("TENANT_MISMATCH");
	const strict = await emptyTarget({ strictTenancy: true });
	expect(await codeOf(strict.service.exportRows({ write }))).toBe(
		"TENANT_REQUIRED",
	);
});

describe("an export for another tenant", () => {
	const loaded = (tenantId: string) =>
		db.service
			.repository(Note)
			.find({ tenantId }, { orderBy: "name" })
			.then((rows) =>
				rows.map(({ id: _, tenantId: __, ...row }) => ({
					...row,
					updatedAt: 0,
				})),
			);

	test("beside the original has new ids, the same each time, with vectors, names and edges", async () => {
		const [from, to] = ["original", "copy"];
		await fill(from);
		const text = await exported({
			tenantId: from,
			tables: ["notes"],
			vectors: true,
		});
		const move = { text, fromTenant: from, tenantId: to, newIds: true };
		expect(await db.service.importRows(move)).toMatchObject({
			inserted: 3,
			embeddingsQueued: 0,
		});
		expect(await loaded(to)).toEqual(await loaded(from));
		expect(await db.service.importRows(move)).toMatchObject({
			inserted: 0,
			updated: 0,
			unchanged: 3,
		});
		expect(
			await db.service.importRows({ ...move, commitEvery: 2 }),
		).toMatchObject({ unchanged: 3 });
		expect(await db.service.verifyRows(move)).toMatchObject({
			rows: 3,
			missing: 0,
			differing: 0,
		});
		const { nodes } = await db.service.traverse({ from: "one", tenantId: to });
		expect(nodes.map(({ entityKey }) => entityKey)).toContain("two");
		const [nearest] = await db.service.vectorSearch({
			tableName: "notes",
			queryText: "first",
			fieldName: "content",
			tenantId: to,
		});
		expect(nearest?.tenantId).toBe(to);
		expect(await db.service.repository(Note).count({ tenantId: from })).toBe(3);
	});

	test("of another database retains its ids", async () => {
		await fill("here");
		const text = await exported({ tenantId: "here", tables: ["notes"] });
		const { service } = await emptyTarget();
		await service.importRows({ text, fromTenant: "here", tenantId: "there" });
		const ids = async (of: Service, tenantId: string) =>
			(await of.repository(Note).find({ tenantId }, { orderBy: "name" })).map(
				({ id }) => id,
			);
		expect(await ids(service, "there")).toEqual(await ids(db.service, "here"));
		expect(await ids(service, "here")).toEqual([]);
	});

	test("is refused, with the remedy, where it would mix tenants or take ids", async () => {
		await fill("mine");
		const text = await exported({ tenantId: "mine", tables: ["notes"] });
		const tenantId = "yours";
		await expect(
			db.service.importRows({ text, tenantId }),
		).rejects.toMatchObject({
			code: "TENANT_MISMATCH",
			hint: expect.stringContaining('fromTenant: "mine"'),
		});
		await expect(
			db.service.importRows({ text, tenantId, fromTenant: "a third" }),
		).rejects.toMatchObject({ code: "TENANT_MISMATCH" });
		await expect(
			db.service.importRows({ text, tenantId, fromTenant: "mine" }),
		).rejects.toMatchObject({
			code: "DUPLICATE_KEY",
			hint: expect.stringContaining("newIds"),
		});
		for (const options of [
			{ fromTenant: "mine" },
			{ tenantId, newIds: true },
			{ fromTenant: "mine", tenantId: "mine", newIds: true },
		])
			await expect(
				db.service.importRows({ text, ...options }),
			).rejects.toMatchObject({ code: "VALIDATION" });
		expect(await db.service.repository(Note).count({ tenantId })).toBe(0);
	});
});

test("verifyRows knows nothing of rows of other tenants, nor of other users", async () => {
	const owner = { tenantId: "owner", userId: "ann" };
	await db.service.scope(owner).batchUpsert({
		tableName: "notes",
		entities: [{ name: "secret", content: "of ann" }],
	});
	const text = await exported({
		tenantId: "owner",
		tables: ["notes"],
		vectors: true,
	});
	const found = async (scope: BoundScope, change: (text: string) => string) => {
		const result = await db.service
			.scope(scope)
			.verifyRows({ text: change(text) });
		return result.differences.map(({ kind, fields }) => ({ kind, fields }));
	};
	const missing = [{ kind: "missing", fields: [] }];
	const claimed = (text: string) => text.replaceAll('"owner"', '"thief"');
	const shared = (text: string) => text.replaceAll('"ann"', "null");
	const as = { tenantId: "thief" };
	expect(await found(as, claimed)).toEqual(missing);
	expect(await found({ ...owner, userId: "bob" }, shared)).toEqual(missing);
	expect(await found({ ...owner, userId: null }, shared)).toEqual(missing);
	expect(await found(owner, (text) => text)).toEqual([]);
	expect(await found({ tenantId: "owner" }, shared)).toEqual([
		{ kind: "differs", fields: ["userId"] },
	]);
});

test("an export is of one moment, and its pages are complete", async () => {
	const tenantId = "moment";
	const entities = Array.from({ length: 1201 }, (_, at) => ({
		name: `n ${at}`,
	}));
	await db.service.batchUpsert({ tableName: "notes", tenantId, entities });
	const ids = new Set<string>();
	const result = await db.service.exportRows({
		tenantId,
		tables: ["notes"],
		write: (text) => {
			for (const line of linesOf(text)) {
				const { row } = JSON.parse(line);
				if (row !== undefined) ids.add(row.id);
			}
		},
	});
	expect(result).toEqual({
		rows: 1201,
		vectors: 0,
		tables: { notes: { rows: 1201, vectors: 0 } },
	});
	expect(ids.size).toBe(1201);
});

test("what `write` or the text throws comes through as it is; a call of the service in it is refused", async () => {
	const full = Object.assign(new Error("no space"), { code: "ENOSPC" });
	await expect(
		db.service.exportRows({
			write: () => {
				throw full;
			},
		}),
	).rejects.toBe(full);
	await expect(
		db.service.importRows({
			text: (async function* () {
				yield linesOf(await exported())[0] ?? "";
				throw full;
			})(),
		}),
	).rejects.toBe(full);
	expect(
		await codeOf(
			db.service.exportRows({
				write: () => db.service.repository(Note).count(),
			}),
		),
	).toBe("VALIDATION");
});

test("a signal ends both, and nothing is written", async () => {
	await fill("signal");
	const controller = new AbortController();
	controller.abort();
	const { signal } = controller;
	expect(await codeOf(db.service.exportRows({ write: () => {}, signal }))).toBe(
		"CANCELLED",
	);
	const text = await exported({ tenantId: "signal" });
	const { service } = target;
	expect(await codeOf(service.importRows({ text, signal }))).toBe("CANCELLED");
	const { rows } = await service.execute(
		"SELECT FROM notes WHERE tenant_id = 'signal'",
	);
	expect(rows).toEqual([]);
});

interface Changed {
	readonly row: object;
	readonly vectors: readonly object[];
}

describe("an import of which something is wrong writes nothing, and names the line", () => {
	const change = (work: (value: Changed) => unknown) => (line: string) => {
		const value = JSON.parse(line);
		work(value);
		return JSON.stringify(value);
	};
	const inRow = (values: object) =>
		change(({ row }) => Object.assign(row, values));
	const inVector = (values: object) =>
		change(({ vectors }) => Object.assign(vectors[0] ?? {}, values));
	const row = 3;
	const cases: [
		string,
		number,
		(line: string) => string | undefined,
		object,
	][] = [
		["half a line", row, (line) => line.slice(0, 50), { line: 4 }],
		["a line that is no row", row, () => '{"a":1}', { line: 4 }],
		["no end", -1, () => undefined, { message: /ends early/ }],
		["a row less than the end counts", row, () => undefined, { line: 4 }],
		[
			"another table",
			row,
			change((value) => Object.assign(value, { table: "nope" })),
			{ line: 4 },
		],
		[
			"an unknown column",
			row,
			inRow({ nope: 1 }),
			{ line: 4, code: "UNKNOWN_FIELD" },
		],
		["an id that is none", row, inRow({ id: "x" }), { line: 4 }],
		[
			"a value of another type",
			row,
			inRow({ created_at: "soon" }),
			{ line: 4 },
		],
		["an object for a text", row, inRow({ content: {} }), { line: 4 }],
		["no value where one is needed", row, inRow({ name: null }), { line: 4 }],
		["edges that are no list", row, inRow({ graph_edges: "x" }), { line: 4 }],
		["metadata that is no object", row, inRow({ metadata: 1 }), { line: 4 }],
		[
			"a name that is too long",
			row,
			inRow({ name: "x".repeat(300) }),
			{ line: 4 },
		],
		[
			"a tenant that is too long",
			row,
			inRow({ tenant_id: "x".repeat(101) }),
			{ line: 4 },
		],
		[
			"the key of another row",
			2,
			inRow({ name: "one" }),
			{ line: 3, code: "DUPLICATE_KEY" },
		],
		[
			"a vector of another length",
			1,
			inVector({ data: "AAAAAA==" }),
			{ line: 2 },
		],
		["a vector that is not base64", 1, inVector({ data: "?" }), { line: 2 }],
		["a vector of another model", 1, inVector({ model: 7 }), { line: 2 }],
		["a vector of no field", 1, inVector({ field: "name" }), { line: 2 }],
		["no header", 0, () => undefined, { line: 1 }],
		[
			"a later version",
			0,
			change((value) => Object.assign(value, { version: 2 })),
			{ message: /version 2.*reads version 1/ },
		],
		[
			"a column that the model lacks",
			0,
			(line) => line.replace('"name"', '"title"'),
			{ code: "UNKNOWN_FIELD" },
		],
		[
			"a needed column less",
			0,
			(line) => line.replace('"name",', ""),
			{ code: "SCHEMA_DRIFT" },
		],
		[
			"a table that the models lack",
			0,
			(line) => line.replace('"notes"', '"nopes"'),
			{ code: "UNKNOWN_ENTITY" },
		],
	];

	test.each(cases)(
		"%s",
		async (name, at, work, {
			line,
			message,
			code,
		}: { line?: number; message?: RegExp; code?: string }) => {
			const tenantId = `bad ${name}`;
			await fill(tenantId);
			const text = await exported({
				tenantId,
				vectors: true,
				tables: ["notes"],
			});
			const { service } = target;
			const error = await service
				.importRows({ text: [changed(text, at, work)] })
				.catch((error) => error);
			expect(error).toMatchObject({
				code: code ?? "VALIDATION",
				hint: expect.any(String),
			});
			if (line !== undefined)
				expect(error.message).toMatch(
					new RegExp(`^(?:the export|line ${line}\\b)`),
				);
			if (message !== undefined) expect(error.message).toMatch(message);
			expect(error.message).not.toContain("second");
			const { rows } = await service.execute(
				"SELECT FROM notes WHERE tenant_id = $1",
				[tenantId],
			);
			expect(rows).toEqual([]);
		},
	);

	test("the id of another tenant's row", async () => {
		await fill("owner");
		const text = await exported({ tenantId: "owner", tables: ["notes"] });
		const taken = text.replaceAll('"tenant_id":"owner"', '"tenant_id":"thief"');
		expect(await codeOf(db.service.importRows({ text: taken }))).toBe(
			"DUPLICATE_KEY",
		);
	});

	test("an id twice", async () => {
		await fill("twice");
		const text = await exported({ tenantId: "twice", tables: ["notes"] });
		const [, first = ""] = linesOf(text);
		const { service } = target;
		expect(
			await codeOf(service.importRows({ text: changed(text, 2, () => first) })),
		).toBe("VALIDATION");
	});

	test("an id twice, once with what is stored", async () => {
		await fill("twice stored");
		const text = await exported({
			tenantId: "twice stored",
			tables: ["notes"],
		});
		const [, first = ""] = linesOf(text);
		const other = first.replace('"content":"', '"content":"Another ');
		expect(other).not.toBe(first);
		const twice = [
			changed(text, 1, () => other),
			changed(text, 2, () => other),
		].map((lines, at) => changed(lines, 2 - at, () => first));
		for (const lines of twice)
			expect(await codeOf(db.service.importRows({ text: lines }))).toBe(
				"VALIDATION",
			);
	});
});

test("the text comes in any pieces", async () => {
	await fill("pieces");
	const text = await exported({
		tenantId: "pieces",
		tables: ["notes"],
		vectors: true,
	});
	const bytes = Buffer.from(text);
	const pieces = function* () {
		for (let at = 0; at < bytes.length; at += 7)
			yield bytes.subarray(at, at + 7);
	};
	const { service } = target;
	expect(await service.importRows({ text: pieces() })).toMatchObject({
		inserted: 3,
		vectors: 3,
	});
});

import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import type { MethodArguments } from "../../src/calls/arguments.ts";
import { Embeddings } from "../../src/core/embeddings.ts";
import { SchemaLifecycle } from "../../src/core/schema-lifecycle.ts";
import { longestMessage } from "../../src/errors.ts";
import {
	type BoundScope,
	defineEntity,
	PostgresService,
	RemError,
	Repository,
} from "../../src/index.ts";
import { BackgroundIndexer } from "../../src/indexer/background-indexer.ts";
import { KvCache } from "../../src/kv/kv-cache.ts";
import { Registry } from "../../src/models/registry.ts";
import { Placement } from "../../src/service/placement.ts";
import { scopeForget } from "../../src/service/scope.ts";
import { verbs } from "../../src/verbs/verbs.ts";
import { codeOf, useService } from "../support/engine.ts";
import { hostileValues } from "../support/hostile-values.ts";
import {
	internalMethods,
	methodNames,
	publicMethods,
} from "../support/public-methods.ts";
import { rowsVerbSamples } from "../support/rows-verb-samples.ts";
import {
	invoke,
	type SampleRows,
	settled,
	type VerbArguments,
} from "../support/sample-calls.ts";
import { sampleDimensions, verbSamples } from "../support/verb-samples.ts";

const Note = defineEntity(
	"notes",
	{
		name: z.string(),
		content: z.string().optional(),
		sessionId: z.string().optional(),
	},
	{ entityKeyField: "name" },
);

const db = useService({
	models: [Note],
	embedding: { provider: "local", dimensions: sampleDimensions },
	backgroundIndex: { enabled: false },
});

const tenantId = "tenant a";
const ids: Record<string, string> = {};

beforeAll(async () => {
	for (const owner of [tenantId, "tenant b"]) {
		const { ids: written } = await db.service.batchUpsert({
			tableName: "notes",
			entities: [
				{
					name: "one",
					content: `of ${owner}`,
					sessionId: "s",
					metadata: { owner },
					graphEdges: [{ dst: "one", rel_type: "is" }],
				},
				{ name: "two", sessionId: "s", userId: "u", metadata: { owner } },
			],
			tenantId: owner,
		});
		ids[owner] = written[0] as string;
	}
});

const vector = new Float32Array(8).fill(1);

type Samples = Readonly<Record<string, () => unknown[]>>;

/** Calls of the verbs that change no row. */
function ofVerbs(
	table: (rows: SampleRows) => Readonly<Record<string, VerbArguments>>,
): Samples {
	const sample = (name: string) => {
		const rows = { tableName: "notes", tenantId, id: ids[tenantId] as string };
		const { given = [], withoutEffect = given } = table(rows)[name] ?? {};
		return [...withoutEffect];
	};
	const names = Object.keys(table({ tableName: "", tenantId, id: "" }));
	return Object.fromEntries(names.map((name) => [name, () => sample(name)]));
}

/** The minimum that each method can be called with; what runs on its own until it is stopped is not called. */
const samples: Readonly<Record<string, Samples>> = {
	PostgresService: {
		...ofVerbs(verbSamples),
		scope: () => [{ tenantId }],
		repository: () => [Note],
		migrate: () => [],
		register: () => [Note],
		createIndexConcurrently: () => [{ tableName: "notes", indexType: "btree" }],
		doctor: () => [],
		checkIsolation: () => [],
		forget: () => [{ tenantId: "a tenant to forget" }],
		execute: () => ["SELECT 1", []],
		transaction: () => [async () => {}],
		close: () => [],
	},
	Repository: ofVerbs(rowsVerbSamples),
	KvCache: {
		status: () => [],
		rebuild: () => [],
		ensureReady: () => [],
		verify: () => [],
		vacuum: () => [],
	},
	BackgroundIndexer: {
		queueIndex: () => [{ tableName: "notes", indexType: "btree" }],
		build: () => [{ tableName: "notes", indexType: "btree" }],
		run: () => [],
		stop: () => [],
		drain: () => [],
		status: () => [],
		repair: () => [],
		check: () => [],
	},
	SchemaLifecycle: {
		diff: () => [],
		plan: () => [],
		status: () => [],
		repair: () => [{ migrations: "test/none", names: [] }],
	},
	Embeddings: {
		registerProvider: () => [{}],
		generateBatch: () => [["a text"]],
		status: () => [],
		sync: () => [],
		estimate: () => [],
		retry: () => [],
		start: () => [],
		stop: () => [],
		switch: () => ["a model"],
		prune: () => ["a model"],
	},
	Placement: {
		// Checked before it turns out that the service has no buckets.
		status: () => [],
		move: () => [{ bucket: 0, to: "localhost" }],
	},
	Registry: {
		add: () => [Note],
		remove: () => [Note],
		has: () => [Note],
		get: () => ["notes"],
		all: () => [],
	},
};

const classes = {
	PostgresService,
	Repository,
	KvCache,
	BackgroundIndexer,
	SchemaLifecycle,
	Embeddings,
	Placement,
	Registry,
} as const;

type ClassName = keyof typeof classes;

/** The object that a test calls, where it is not the service itself. */
const objects: Readonly<Record<ClassName, () => object>> = {
	PostgresService: () => db.service,
	Repository: () => db.service.repository(Note),
	KvCache: () => db.service.kv,
	BackgroundIndexer: () => db.service.indexer,
	SchemaLifecycle: () => db.service.schema,
	Embeddings: () => db.service.embeddings,
	Placement: () => db.service.buckets,
	Registry: () => db.service.registry,
};

interface Case {
	readonly name: string;
	readonly method: MethodArguments;
	call(given: readonly unknown[]): Promise<unknown>;
	sample(): unknown[];
}

const cases: readonly Case[] = Object.entries(publicMethods).flatMap(
	([className, methods]) =>
		Object.entries(methods).map(([name, method]) => ({
			name: `${className}.${name}`,
			method,
			sample: () => samples[className]?.[name]?.() ?? [],
			call: (given: readonly unknown[]) =>
				invoke(objects[className as ClassName](), name, given),
		})),
);

const scopedCases: readonly Case[] = verbs.map(({ name, method }) => ({
	name: `scope.${name}`,
	method,
	sample: () => samples.PostgresService?.[name]?.() ?? [],
	call: (given) => invoke(db.service.scope({ tenantId }), name, given),
}));

/** Of a tenant whose rows may be erased. */
const scopeForgetCase: Case = {
	name: "scope.forget",
	method: scopeForget,
	sample: () => [{}],
	call: (given) =>
		invoke(
			db.service.scope({ tenantId: "a tenant to forget" }),
			"forget",
			given,
		),
};

const withArguments = [...cases, ...scopedCases, scopeForgetCase].filter(
	({ method }) => method.parameters.length > 0,
);

describe("the table of public methods", () => {
	test.each(Object.entries(classes))(
		"has an entry, and this test a sample, for every method of %s",
		(className, { prototype }) => {
			const methods = methodNames(prototype);
			const known = [
				...Object.keys(publicMethods[className] ?? {}),
				...(internalMethods[className] ?? []),
			];
			expect(known.toSorted()).toEqual(methods.toSorted());
			expect(Object.keys(samples[className] ?? {}).toSorted()).toEqual(
				Object.keys(publicMethods[className] ?? {}).toSorted(),
			);
		},
	);

	test("covers every method of a scope", () => {
		const scope = db.service.scope({ tenantId, userId: "u" });
		const methods = Object.entries(scope).flatMap(([name, value]) =>
			typeof value === "function" ? [`scope.${name}`] : [],
		);
		expect(methods.toSorted()).toEqual(
			[
				...scopedCases.map(({ name }) => name),
				scopeForgetCase.name,
				"scope.repository",
			].toSorted(),
		);
	});
});

/** Everything that a call could have written. */
const stored = async () => {
	const { rows } = await db.service.execute(
		"SELECT (SELECT array_agg((n.id, n.tenant_id, n.name, n.content, n.metadata, n.deleted_at) ORDER BY n.id)::text FROM notes n) AS notes, (SELECT array_agg((k.entity_id, k.tenant_id, k.entity_key, k.metadata) ORDER BY k.entity_id)::text FROM kv_store k) AS kv",
	);
	return rows;
};

let before: unknown;
beforeAll(async () => {
	before = await stored();
});
afterAll(async () => {
	expect(await stored()).toEqual(before);
});

/** Of the calls, those that did not answer or fail as they should. */
async function wrong(
	calls: readonly (readonly [what: string, () => Promise<unknown>])[],
	isRight: (error: unknown, value: unknown) => boolean,
): Promise<string[]> {
	const found: string[] = [];
	for (const [what, call] of calls) {
		const [error, value] = await call().then(
			(value) => [undefined, value],
			(error: unknown) => [error ?? "nothing", undefined],
		);
		if (!isRight(error, value))
			found.push(`${what}: ${inspect(error ?? value).slice(0, 200)}`);
	}
	return found;
}

/** An answer, or an error of ours that names a cause; the database has not been asked in vain. */
const isOurs = (error: unknown) =>
	error === undefined ||
	(error instanceof RemError && error.code !== "DATABASE" && isShort(error));

/** However long what they quote is. */
const isShort = ({ message, hint = "" }: RemError) =>
	Buffer.byteLength(message) <= longestMessage &&
	Buffer.byteLength(hint) <= longestMessage;

const isRefused = (error: unknown) =>
	error instanceof RemError && error.code === "VALIDATION";

/** The sample's call with one argument, or one of its options, replaced. */
function* replaced(
	{ method, sample, call }: Case,
	values: typeof hostileValues,
): Generator<readonly [string, string, () => Promise<unknown>]> {
	for (const [at, parameter] of method.parameters.entries()) {
		for (const [what, value] of values) {
			const given = sample();
			given[at] = value;
			yield [parameter.name, what, () => call(given)];
		}
		for (const name of parameter.table?.names ?? [])
			for (const [what, value] of values) {
				const given = sample();
				given[at] = { ...(given[at] as object), [name]: value };
				yield [name, what, () => call(given)];
			}
	}
}

describe("a hostile value", () => {
	test.each(withArguments.map((one) => [one.name, one] as const))(
		"in any place of %s is an answer or an error of ours",
		async (_, one) => {
			const calls = [...replaced(one, hostileValues)].map(
				([name, what, call]) => [`${name} = ${what}`, call] as const,
			);
			// SQL of the caller's own is the database's to refuse.
			const isRight =
				one.name === "PostgresService.execute"
					? (error: unknown) =>
							error === undefined ||
							(error instanceof RemError && isShort(error))
					: isOurs;
			expect(await wrong(calls, isRight)).toEqual([]);
		},
	);

	const names = ["tenantId", "userId", "sessionId", "id"];
	const noNames = hostileValues.filter(
		([, value]) =>
			typeof value !== "string" ||
			value.includes("\0") ||
			!value.isWellFormed(),
	);
	/** What `id` takes besides: a list of ids, and a user may be null. */
	const isMeant = (name: string, what: string) =>
		(name === "userId" && what === "null") ||
		(name === "id" && what === "an empty array") ||
		(name === "id" && /^an array( of another realm)?$/.test(what));

	test.each(withArguments.map((one) => [one.name, one] as const))(
		"is no tenant, user, session or id of %s",
		async (_, one) => {
			const calls = [...replaced(one, noNames)]
				.filter(([name, what]) => names.includes(name) && !isMeant(name, what))
				.map(([name, what, call]) => [`${name} = ${what}`, call] as const);
			expect(await wrong(calls, isRefused)).toEqual([]);
		},
	);

	test("is no tenant or user of a scope", async () => {
		for (const [name, value] of noNames) {
			const open = (scope: object) =>
				settled(() => db.service.scope(scope as BoundScope));
			const make = (scope: object) =>
				settled(() => new Repository(Note, db.service, scope as BoundScope));
			for (const attempt of [open, make]) {
				expect(await codeOf(attempt({ tenantId: value })), name).toBe(
					"VALIDATION",
				);
				if (value !== null)
					expect(await codeOf(attempt({ tenantId, userId: value })), name).toBe(
						"VALIDATION",
					);
			}
		}
	});

	test("in a filter of a scope never finds another tenant's rows", async () => {
		const notes = db.service.scope({ tenantId }).repository(Note);
		for (const [name, value] of hostileValues)
			for (const field of [
				"tenantId",
				"userId",
				"sessionId",
				"id",
				"OR",
				"NOT",
			]) {
				const filter = { [field]: value } as object;
				const rows = await settled(() => notes.find(filter)).catch(
					(error: unknown) => {
						expect(isOurs(error), `${field} = ${name} ${inspect(error)}`).toBe(
							true,
						);
						return [];
					},
				);
				for (const row of rows as { tenantId: string }[])
					expect(row.tenantId, name).toBe(tenantId);
			}
	});

	test("is no argument of a transaction's handle", async () => {
		const handleCalls = (["query", "script", "transaction"] as const).flatMap(
			(method) =>
				hostileValues.map(
					([what, value]) =>
						[
							`${method} ${what}`,
							() =>
								db.service.transaction(async (tx) =>
									invoke(tx, method, [value]),
								),
						] as const,
				),
		);
		// A text is a statement that the database may refuse.
		const isText = (what: string) =>
			typeof new Map(hostileValues).get(what.replace(/^script /, "")) ===
			"string";
		expect(
			await wrong(
				handleCalls.filter(([what]) => !isText(what)),
				(error, value) => isRefused(error) || value === "tenant a",
			),
		).toEqual([]);
	});
});

describe("a tenant or user that is given as undefined", () => {
	/** Where leaving it out takes in the rows of all tenants or users. */
	const widening = [
		...["tenantId", "userId"].flatMap((name) =>
			["exportRows", "importRows", "verifyRows"].flatMap((verb) => [
				`PostgresService.${verb} ${name}`,
				`scope.${verb} ${name}`,
			]),
		),
		"PostgresService.forget userId",
		"scope.forget userId",
		"PostgresService.scope userId",
	];

	test("is refused, with the remedy, by every method that would take in all of them, and taken by the others", async () => {
		const refused: string[] = [];
		for (const { name: method, method: given, call, sample } of withArguments) {
			const at = given.parameters.findIndex(({ table }) => table !== undefined);
			for (const name of ["tenantId", "userId"]) {
				const argument = given.parameters[at];
				if (!argument?.table?.names.includes(name)) continue;
				const args = sample();
				const { [name]: _, ...others } = (args[at] ?? {}) as Record<
					string,
					unknown
				>;
				args[at] = { ...others, [name]: undefined };
				const error = await call(args).then(
					() => undefined,
					(error: unknown) => error,
				);
				if (
					!(error instanceof RemError && / is undefined$/.test(error.message))
				)
					continue;
				expect(error).toMatchObject({
					code: "VALIDATION",
					message: `${name} of ${method.replace(/.*\./, "")} is undefined`,
					hint: expect.stringContaining(`leave ${name} out`),
				});
				refused.push(`${method} ${name}`);
			}
		}
		expect(refused.toSorted()).toEqual(widening.toSorted());
	});

	test("is refused by a repository that is opened for a scope", async () => {
		const scope = { tenantId, userId: undefined } as never;
		await expect(
			settled(() => new Repository(Note, db.service, scope)),
		).rejects.toMatchObject({
			code: "VALIDATION",
			message: "userId of new Repository is undefined",
		});
	});
});

describe("an unknown option", () => {
	/** `tenant_id`, `limiit` */
	const slip = (name: string) => {
		const snake = name.replace(
			/[A-Z]/g,
			(letter) => `_${letter.toLowerCase()}`,
		);
		return snake === name
			? `${name.slice(0, -1) || name}${name.slice(-2)}`
			: snake;
	};

	test.each(
		withArguments
			.filter(({ method }) => method.parameters.some(({ table }) => table))
			.map((one) => [one.name, one] as const),
	)("of %s is refused with the nearest known one", async (_, one) => {
		const calls = one.method.parameters.flatMap(({ table }, at) =>
			(table?.listed ?? []).map((name) => {
				const given = one.sample();
				given[at] = { ...(given[at] as object), [slip(name)]: "x" };
				return [name, () => one.call(given)] as const;
			}),
		);
		expect(
			await wrong(
				calls,
				(error) =>
					error instanceof RemError &&
					error.code === "VALIDATION" &&
					/unknown option/.test(error.message) &&
					/^did you mean "\w+"\?$/.test(error.hint ?? ""),
			),
		).toEqual([]);
	});

	test.each(
		withArguments
			.filter(({ method }) => method.parameters.some(({ table }) => table))
			.map((one) => [one.name, one] as const),
	)("of %s that is a symbol, or inherited, is refused", async (_, one) => {
		const calls = one.method.parameters.flatMap(({ table }, at) => {
			if (table === undefined) return [];
			const own = { ...(one.sample()[at] as object) };
			const hidden = { symbol: { ...own, [Symbol("x")]: 1 }, inherited: {} };
			hidden.inherited = Object.create({ ...own, tenant: 1 }) as object;
			return Object.entries(hidden).map(([what, options]) => {
				const given = one.sample();
				given[at] = options;
				return [what, () => one.call(given)] as const;
			});
		});
		expect(
			await wrong(
				calls,
				(error) =>
					error instanceof RemError && /unknown option/.test(error.message),
			),
		).toEqual([]);
	});

	test.each(
		[...cases, ...scopedCases, scopeForgetCase].map(
			(one) => [one.name, one] as const,
		),
	)(
		"cannot stand behind the last argument of %s",
		async (_, { method, call }) => {
			const given = [...method.parameters.map(() => undefined), { limit: 1 }];
			expect(await codeOf(call(given))).toBe("VALIDATION");
		},
	);

	test("that is nowhere near one is refused with those there are", async () => {
		await expect(
			db.service.link({
				from: "one",
				edges: [],
				tenantId,
				zzzzzzzzzzzz: undefined,
			} as never),
		).rejects.toMatchObject({
			code: "VALIDATION",
			message: 'unknown option "zzzzzzzzzzzz" of link',
			hint: "known: edges, from, tenantId, transaction, userId",
		});
	});

	test("of a transaction, and of a statement on its handle, is refused with the public ones", async () => {
		const work = async () => {};
		for (const call of [
			() => db.service.transaction(work, { isolationLevel: "x" } as never),
			() =>
				db.service.transaction((tx) =>
					tx.transaction(work, { isolationLevel: "x" } as never),
				),
		])
			await expect(call()).rejects.toMatchObject({
				code: "VALIDATION",
				message: 'unknown option "isolationLevel" of transaction',
				hint: "known: isolation, readOnly, retries",
			});
		await expect(
			db.service.transaction((tx) =>
				tx.query({ text: "SELECT 1", values: [] }, { zzzz: 1 } as never),
			),
		).rejects.toMatchObject({ hint: "known: signal, timeoutMs" });
	});

	test("of an inherited or frozen object is no way around the tenant", async () => {
		class Call {
			readonly entityKey = "one";
			get tenantId() {
				return "tenant b";
			}
		}
		for (const call of [
			new Call(),
			Object.freeze({ entityKey: "one", tenantId: "tenant b" }),
			Object.create({ entityKey: "one", tenantId: "tenant b" }) as object,
		]) {
			const found = await db.service.lookupEntity(call as never);
			expect(found?.metadata).toEqual({ owner: "tenant b" });
			const scope = db.service.scope({ tenantId });
			expect(await codeOf(scope.lookupEntity(call as never))).toBe(
				"TENANT_MISMATCH",
			);
		}
	});

	test("is read once: what was checked is what is used", async () => {
		let reads = 0;
		const call = {
			entityKey: "one",
			get tenantId() {
				return ++reads === 1 ? tenantId : ({ ne: "" } as never);
			},
		};
		const found = await db.service.lookupEntity(call);
		expect(found?.metadata).toEqual({ owner: tenantId });
	});
});

describe("a function of the caller's that throws", () => {
	const broken = () => {
		throw new TypeError("mine");
	};
	const cause = expect.objectContaining({ message: "mine" });

	test("onProgress stops the call, and what is committed stays", async () => {
		const scope = { tenantId: "tenant of callbacks" };
		const upsert = db.service.batchUpsert({
			tableName: "notes",
			entities: [{ name: "written" }],
			onProgress: broken,
			...scope,
		});
		await expect(upsert).rejects.toMatchObject({ code: "CANCELLED", cause });
		const notes = db.service.repository(Note);
		expect(await notes.count(scope)).toBe(1);
		await notes.purge(
			(await notes.find(scope)).map(({ id }) => id),
			scope.tenantId,
		);
		await expect(
			db.service.kv.rebuild({ onProgress: broken }),
		).rejects.toMatchObject({ code: "CANCELLED", cause });
	});

	test("a getter of a row, also of a stream, and rerank are the cause of VALIDATION", async () => {
		const calls = [
			() =>
				db.service.batchUpsert({
					tableName: "notes",
					entities: (function* () {
						yield {
							get name(): string {
								return broken();
							},
						};
					})(),
					tenantId,
				}),
			() =>
				db.service.batchUpsert({
					tableName: "notes",
					entities: [
						{
							get name(): string {
								return broken();
							},
						},
					],
					tenantId,
				}),
			() =>
				db.service.hybridSearch({
					tableName: "notes",
					query: "note",
					queryEmbedding: vector,
					rerank: broken,
					tenantId,
				}),
		];
		for (const call of calls)
			await expect(call()).rejects.toMatchObject({ code: "VALIDATION", cause });
	});

	test("the work of a transaction comes through as it is", async () => {
		await expect(db.service.transaction(broken)).rejects.toBeInstanceOf(
			TypeError,
		);
	});

	test("a logger fails no call", async () => {
		const logger = { debug: broken, info: broken, warn: broken, error: broken };
		const service = await PostgresService.connect({
			connectionString: db.url,
			models: [Note],
			logger,
			embedding: { provider: "local", dimensions: 8 },
		});
		try {
			await service.migrate();
			await service.kv.rebuild();
		} finally {
			await service.close();
		}
	});
});

describe("a number out of its bounds", () => {
	const numbers = [
		1e9 + 0.5,
		-2,
		Number.NaN,
		0.5,
		Number.POSITIVE_INFINITY,
		"5",
	];
	const names =
		/^(limit|offset|depth|nodeBudget|efSearch|retries|waitMs|sample|lockTimeoutMs|lockAttempts|dimensions)$/;

	test.each(withArguments.map((one) => [one.name, one] as const))(
		"of %s is refused with the bounds",
		async (_, one) => {
			const values = numbers.map((value) => [String(value), value] as const);
			const calls = [...replaced(one, values)]
				.filter(([name]) => names.test(name))
				.map(([name, what, call]) => [`${name} = ${what}`, call] as const);
			const isNamed = (error: unknown) =>
				error instanceof RemError && /whole number from \d/.test(error.message);
			expect(await wrong(calls, isNamed)).toEqual([]);
		},
	);

	test("a transaction runs again a hundred times at most", async () => {
		for (const retries of [101, 1e9])
			expect(
				await codeOf(db.service.transaction(async () => {}, { retries })),
			).toBe("VALIDATION");
	});
});

describe("under strict tenancy", () => {
	test("a filter's tenant is one tenant, no operator", async () => {
		const strict = await PostgresService.connect({
			connectionString: db.url,
			models: [Note],
			strictTenancy: true,
			embedding: { provider: "local", dimensions: 8 },
		});
		try {
			await strict.migrate();
			const notes = strict.repository(Note);
			for (const [name, value] of hostileValues) {
				if (
					typeof value === "string" &&
					/^(SQL|a name|a method|a blank|a number as text)/.test(name)
				)
					continue;
				const filter = { tenantId: value } as never;
				for (const call of [
					() => notes.find(filter),
					() => notes.count(filter),
					() => settled(() => notes.iterate(filter)),
				])
					expect(await codeOf(call()), name).toBe("VALIDATION");
			}
			expect(await codeOf(notes.find({ OR: [{ tenantId }] }))).toBe(
				"TENANT_REQUIRED",
			);
			expect(await codeOf(notes.getById(ids[tenantId] as string))).toBe(
				"TENANT_REQUIRED",
			);
		} finally {
			await strict.close();
		}
	});
});

test("the isolation level is one of three words", async () => {
	for (const isolation of [
		"serializable; DROP TABLE notes; --",
		"SERIALIZABLE",
		"read uncommitted",
		"constructor",
		"__proto__",
	])
		expect(
			await codeOf(
				db.service.transaction(async () => {}, { isolation } as never),
			),
			isolation,
		).toBe("VALIDATION");
	for (const isolation of [
		"read committed",
		"repeatable read",
		"serializable",
	] as const) {
		const found = await db.service.transaction(
			(tx) => tx.script("SHOW transaction_isolation"),
			{ isolation },
		);
		expect(found[0]?.rows).toEqual([{ transaction_isolation: isolation }]);
	}
});

test("a vector may be a list of numbers, given to a search, a row or returned by a provider", async () => {
	const list = [1, 2, 3, 4, 5, 6, 7, 8];
	const scope = { tenantId: "tenant of lists" };
	const { service } = db;
	await service.batchUpsert({
		tableName: "notes",
		entities: [{ name: "l", content: "c", vectors: { content: list } }],
		...scope,
	});
	const wide = Float64Array.from(list);
	await service.batchUpsert({
		tableName: "notes",
		entities: [
			{ name: "w", content: "of 64 bits", vectors: { content: wide } },
		],
		...scope,
	});
	for (const queryEmbedding of [list, Float32Array.from(list), wide])
		for (const hits of [
			await service.vectorSearch({
				tableName: "notes",
				queryEmbedding,
				...scope,
			}),
			await service.hybridSearch({
				tableName: "notes",
				query: "c",
				queryEmbedding,
				...scope,
			}),
		])
			expect(hits[0]?.similarity).toBeCloseTo(1, 6);
	for (const [queryEmbedding, code] of [
		[[], "DIMENSION_MISMATCH"],
		[[1, 2], "DIMENSION_MISMATCH"],
		[new Array(8), "VALIDATION"],
		[["1", 2, 3, 4, 5, 6, 7, 8], "VALIDATION"],
		[[Number.NaN, 2, 3, 4, 5, 6, 7, 8], "DIMENSION_MISMATCH"],
	] as const)
		expect(
			await codeOf(
				service.vectorSearch({
					tableName: "notes",
					queryEmbedding: queryEmbedding as number[],
					...scope,
				}),
			),
		).toBe(code);
	await service.repository(Note).purge(
		(await service.repository(Note).find(scope)).map(({ id }) => id),
		scope.tenantId,
	);
});

test("a list of four billion holes is refused wherever it stands", async () => {
	const sparse: unknown[] = [];
	sparse[2 ** 32 - 2] = "x";
	const typed = defineEntity("typed", {
		lists: z.array(z.array(z.string())).optional(),
		object: z.object({ list: z.array(z.string().optional()) }).optional(),
		maybe: z
			.union([z.array(z.unknown()), z.string()])
			.array()
			.optional(),
	});
	const service = await PostgresService.connect({
		connectionString: "memory:",
		models: [typed],
		embedding: { provider: "local", dimensions: 8 },
	});
	try {
		await service.migrate();
		const typedRows = service.repository(typed);
		for (const row of [
			{ lists: [sparse] },
			{ object: { list: sparse } },
			{ maybe: [sparse] },
			{ metadata: { a: { b: sparse } } },
			{ graphEdges: [{ dst: "x", rel_type: "r", properties: { a: sparse } }] },
		])
			await expect(
				typedRows.upsert(row as never, { tenantId }),
			).rejects.toMatchObject({
				code: "INPUT_LIMIT",
				message: expect.stringContaining(Object.keys(row)[0] as string),
			});
		for (const call of [
			() => typedRows.upsert(sparse as never),
			() =>
				service.batchUpsert({
					tableName: "typed",
					entities: sparse as never,
					tenantId,
				}),
			() => service.embeddings.generateBatch(sparse as never),
			() => service.lookupEntities({ entityKeys: sparse as never, tenantId }),
		])
			expect(await codeOf(call())).toBe("VALIDATION");
	} finally {
		await service.close();
	}
});

test.each([
	["an array", (row: object) => [row]],
	["a set", (row: object) => new Set([row])],
	[
		"a stream",
		async function* (row: object) {
			yield { name: "before it" };
			yield row;
		},
	],
] as const)("an edge list that cannot be read, in %s", async (_, source) => {
	const row = {
		name: "a row",
		get graphEdges() {
			throw new TypeError("of the caller");
		},
	};
	const call = db.service.batchUpsert({
		tableName: "notes",
		entities: source(row) as never,
		tenantId: "tenant of getters",
	});
	await expect(call).rejects.toMatchObject({
		name: "RemError",
		code: "VALIDATION",
		cause: { message: "of the caller" },
	});
});

test("an unknown language is named, with the nearest one", async () => {
	await expect(
		db.service.hybridSearch({
			tableName: "notes",
			query: "note",
			language: "germn",
			tenantId,
		}),
	).rejects.toMatchObject({
		code: "VALIDATION",
		message: 'unknown text search configuration "germn"',
		hint: 'did you mean "german"?',
	});
	for (const language of ["german", "pg_catalog.german", "simple"])
		await db.service.hybridSearch({
			tableName: "notes",
			query: "note",
			language,
			tenantId,
		});
	await expect(
		PostgresService.connect({ connectionString: db.url, language: "klingon" }),
	).rejects.toMatchObject({ code: "CONFIG_INVALID" });
});

test("a link to an entity that is deleted at that moment names it, as one that never was", async () => {
	const scope = { tenantId: "tenant of links" };
	await db.service.batchUpsert({
		tableName: "notes",
		entities: [{ name: "gone" }],
		...scope,
	});
	// The cache still knows the name when the row is gone.
	await db.service.execute(
		"ALTER TABLE notes DISABLE TRIGGER USER; DELETE FROM notes WHERE name = 'gone'; ALTER TABLE notes ENABLE TRIGGER USER",
	);
	await expect(
		db.service.link({
			from: "gone",
			edges: { dst: "one", rel_type: "r" },
			...scope,
		}),
	).rejects.toMatchObject({ code: "VALIDATION" });
	await db.service.kv.verify({ repair: true });
});

test("an interval of the dialect is one that PostgreSQL takes, or refused before it is sent", async () => {
	const units = ["sec", "second", "min", "minute", "hour", "day", "week"];
	const more = [...units, "mon", "month", "year"];
	const texts = more.flatMap((unit) => [
		...more.map((other) => `1 ${unit} 2 ${other}s`),
		...["-1.5", "+99", "0.000001", "6000000000", "999999999999"].map(
			(count) => `${count} ${unit}`,
		),
	]);
	const calls = texts.map((text) => {
		const query = `SQL notes WHERE created_at > now() - interval '${text}' LIMIT 1`;
		return [text, () => db.service.query(query, { tenantId })] as const;
	});
	expect(
		await wrong(
			calls,
			(error) =>
				error === undefined ||
				(error instanceof RemError &&
					error.code === "FILTER_REFUSED" &&
					error.position !== undefined),
		),
	).toEqual([]);
});

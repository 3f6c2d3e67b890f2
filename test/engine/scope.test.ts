import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PostgresService, RemError, type Repository } from "../../src/index.ts";
import { exportText } from "../../src/store/export-format.ts";
import { rowsVerbs } from "../../src/verbs/repository/verbs.ts";
import { type Verbs, verbs } from "../../src/verbs/verbs.ts";
import { codeOf, engine, useService } from "../support/engine.ts";
import { login } from "../support/row-security.ts";
import { byVariant, type FoundRows } from "../support/sample-calls.ts";
import { Common, Note, type ScopeModels } from "../support/scope-models.ts";
import { verbCalls } from "../support/verb-samples.ts";

const options = {
	models: [Note, Common],
	embedding: { provider: "local", dimensions: 16 },
} as const;

const db = useService(options);

const owners = [
	{ tenantId: "a", userId: null },
	{ tenantId: "a", userId: "u" },
	{ tenantId: "a", userId: "v" },
	{ tenantId: "b", userId: null },
	{ tenantId: "b", userId: "u" },
] as const;
const ids = new Map<string, string>();
const ownersById = new Map<string, string>();
const label = (tenantId: string, userId: string | null) =>
	`${tenantId}/${userId}`;

beforeAll(async () => {
	for (const { tenantId, userId } of owners) {
		const result = await db.service.batchUpsert({
			tableName: "notes",
			entities: [
				{
					name: "note",
					content: "the same words",
					sessionId: "s",
					metadata: { owner: label(tenantId, userId) },
					graphEdges: [
						{ dst: "note", rel_type: "self" },
						{ dst: "hub", rel_type: "of" },
					],
				},
			],
			tenantId,
			userId,
		});
		ids.set(label(tenantId, userId), result.ids[0] as string);
		ownersById.set(result.ids[0] as string, label(tenantId, userId));
	}
	for (const tenantId of ["a", "b"]) {
		const hub = await db.service.batchUpsert({
			tableName: "notes",
			entities: [{ name: "hub", metadata: { owner: label(tenantId, null) } }],
			tenantId,
		});
		ownersById.set(hub.ids[0] as string, label(tenantId, null));
	}
});

// Everything below is true with the library's checks alone, and with the policies of the database.
const walls =
	engine === "server"
		? (["the library alone", "row level security"] as const)
		: (["the library alone"] as const);
const services = new Map<string, typeof db.service>();
let account: Awaited<ReturnType<typeof login>> | undefined;

beforeAll(async () => {
	services.set("the library alone", db.service);
	if (engine === "embedded") return;
	account = await login(db as never, options.models, "rem_app");
	services.set(
		"row level security",
		await PostgresService.connect({
			connectionString: account.url,
			...options,
			rowLevelSecurity: true,
		}),
	);
});

afterAll(async () => {
	await services.get("row level security")?.close();
	await account?.drop();
});

interface Scope {
	readonly tenantId: string;
	readonly userId?: string | null;
}

/** Every read there is; `scope` is what each call names, nothing in a bound scope. */
const reads = Object.fromEntries(
	Object.entries(verbCalls).flatMap(([name, { reads = [] }]) =>
		byVariant(name, reads).map(([title, { returns = "all", call }]) => [
			title,
			{
				returns,
				read: (api: Verbs<ScopeModels>, scope: Partial<Scope>) =>
					call(api, scope, { ids, ownersById }),
			},
		]),
	),
);

test("every verb that finds rows has reads, but those that tests of their own try", () => {
	const finding = verbs
		.filter(({ probe }) => probe?.does === "finds")
		.map(({ name }) => name);
	const tried = new Set(
		Object.keys(reads).map((name) => name.replace(/,.*/, "")),
	);
	expect(finding.filter((name) => !tried.has(name))).toEqual([
		"explainRank",
		"exportRows",
		"verifyRows",
	]);
});

const ownersOf = (found: FoundRows) =>
	new Set(found.map(({ metadata }) => (metadata as { owner: string }).owner));

function seenBy({ tenantId, userId }: Scope): Set<string> {
	const seen = owners.filter(
		(owner) =>
			owner.tenantId === tenantId &&
			(userId === undefined ||
				owner.userId === null ||
				owner.userId === userId),
	);
	return new Set(seen.map((owner) => label(owner.tenantId, owner.userId)));
}

const injected = ["a' OR 'b' = 'b", "a; --", "%", "a\\", '{"a","b"}'];
const scopes: Scope[] = [
	...["a", "b", "nobody's", ...injected].map((tenantId) => ({ tenantId })),
	...["u", "v", "nobody", null, ...injected].map((userId) => ({
		tenantId: "a",
		userId,
	})),
];

describe.each(walls)("with %s", (wall) => {
	const service = () => services.get(wall) as typeof db.service;

	describe.each(Object.entries(reads))("%s", (_, { returns, read }) => {
		test("sees what is the tenant's and the user's, all of it where it gives many, by itself and in a scope", async () => {
			for (const scope of scopes)
				for (const found of [
					await read(service(), scope),
					await read(service().scope(scope), {}),
					await read(service().scope(scope), scope),
				]) {
					const expected = seenBy(scope);
					const seen = ownersOf(found);
					if (returns === "one")
						expect(seen.size, JSON.stringify(scope)).toBe(
							Math.min(1, expected.size),
						);
					else if (returns === "all")
						expect(seen, JSON.stringify(scope)).toEqual(expected);
					for (const owner of seen) expect(expected).toContain(owner);
				}
		});

		test("refuses a tenant or user that is empty, shared or broken", async () => {
			for (const bad of ["", "*", "a\0", "x".repeat(101)]) {
				expect(await codeOf(read(service(), { tenantId: bad }))).toBe(
					"VALIDATION",
				);
				expect(
					await codeOf(read(service(), { tenantId: "a", userId: bad })),
				).toBe("VALIDATION");
			}
		});

		test("in a scope refuses another tenant and another user", async () => {
			const scope = service().scope({ tenantId: "a", userId: "u" });
			for (const other of [
				{ tenantId: "b" },
				{ tenantId: "A" },
				{ tenantId: "a", userId: "v" },
				{ userId: "" },
			])
				expect(await codeOf(read(scope, other))).toBe("TENANT_MISMATCH");
			expect(ownersOf(await read(scope, { userId: null }))).toEqual(
				returns === "reachable"
					? new Set(["a/null"])
					: seenBy({ tenantId: "a", userId: null }),
			);
		});
	});

	describe("a scope", () => {
		test("binds what is written", async () => {
			const scope = service().scope({ tenantId: "write", userId: "u" });
			await scope.batchUpsert({
				tableName: "notes",
				entities: [{ name: "w" }],
			});
			await scope.link({ from: "w", edges: { dst: "x", rel_type: "r" } });
			const hit = await service().lookupEntity({
				entityKey: "w",
				tenantId: "write",
			});
			expect(hit).toMatchObject({
				userId: "u",
				graphEdges: [{ dst: "x", rel_type: "r" }],
			});
			expect(await scope.unlink({ from: "w", dst: "x" })).toBe(1);
			for (const entities of [[{ name: "w", tenantId: "other" }]])
				expect(
					await codeOf(scope.batchUpsert({ tableName: "notes", entities })),
				).toBe("TENANT_MISMATCH");
			expect(
				await codeOf(
					scope.batchUpsert({
						tableName: "notes",
						entities: [{ name: "w" }],
						tenantId: "other",
					}),
				),
			).toBe("TENANT_MISMATCH");
		});

		describe("of a user writes that user's rows and shared ones only:", () => {
			const tenantId = "users";
			/** Of each verb that writes: calls that would write a row of the user `v`, and what they are answered. */
			const tries: Readonly<
				Record<
					string,
					(
						verbs: Verbs<ScopeModels>,
						notes: Repository<typeof Note>,
						ids: { readonly mine: string; readonly theirs: string },
					) => readonly (readonly [answer: unknown, () => Promise<unknown>])[]
				>
			> = {
				batchUpsert: (verbs, _, { mine, theirs }) =>
					[
						[{ name: "theirs", userId: "v" }],
						[{ name: "new" }, { name: "new", userId: "v" }],
						[{ id: mine, name: "mine", userId: "v" }],
						[{ id: theirs, name: "theirs" }],
						[{ id: theirs, name: "theirs", userId: null }],
					].map((entities, at) => [
						at < 3 ? "TENANT_MISMATCH" : "DUPLICATE_KEY",
						() => verbs.batchUpsert({ tableName: "notes", entities }),
					]),
				upsert: (_, notes, { theirs }) => [
					[
						"TENANT_MISMATCH",
						() => notes.upsert({ name: "theirs", userId: "v" }),
					],
					["DUPLICATE_KEY", () => notes.upsert({ id: theirs, name: "x" })],
				],
				importRows: (verbs, _, { theirs }) =>
					["u", "v"].map((user_id) => [
						user_id === "u" ? "DUPLICATE_KEY" : "TENANT_MISMATCH",
						() =>
							verbs.importRows({
								text: exportText("notes", {
									id: theirs,
									tenant_id: tenantId,
									user_id,
									name: "theirs",
								}),
							}),
					]),
				link: (verbs) => [
					[
						"VALIDATION",
						() =>
							verbs.link({
								from: "theirs",
								edges: { dst: "x", rel_type: "r" },
							}),
					],
				],
				unlink: (verbs) => [
					["VALIDATION", () => verbs.unlink({ from: "theirs", dst: "hub" })],
				],
				update: (_, notes, { mine, theirs }) => [
					["TENANT_MISMATCH", () => notes.update(mine, { userId: "v" })],
					[undefined, () => notes.update(theirs, { tags: ["t"] })],
				],
				updateMany: (_, notes, { theirs }) => [
					[
						"TENANT_MISMATCH",
						() => notes.updateMany({ name: "mine" }, { userId: "v" }),
					],
					[
						expect.objectContaining({ updated: 0 }),
						() => notes.updateMany({ id: theirs }, { tags: ["t"] }),
					],
				],
				delete: (_, notes, { theirs }) => [[false, () => notes.delete(theirs)]],
				restore: (_, notes, { theirs }) => [
					[false, () => notes.restore(theirs)],
				],
				purge: (_, notes, { theirs }) => [[false, () => notes.purge(theirs)]],
			};

			test("every verb that writes is tried", () => {
				const writing = [...verbs, ...rowsVerbs].filter(
					({ name, probe }) =>
						name === "upsert" ||
						probe?.does === "changes" ||
						probe?.does === "takes over",
				);
				expect(Object.keys(tries).toSorted()).toEqual(
					writing.map(({ name }) => name).toSorted(),
				);
			});

			test.each(Object.entries(tries))("%s", async (_, calls) => {
				const all = service().repository(Note);
				const [mine, theirs] = await all.upsert(
					[
						{ name: "mine", userId: "u" },
						{
							name: "theirs",
							userId: "v",
							graphEdges: [{ dst: "hub", rel_type: "of" }],
						},
					],
					{ tenantId },
				);
				const rows = () => all.find({ tenantId }, { orderBy: "id asc" });
				const before = await rows();
				const scope = service().scope({ tenantId, userId: "u" });
				const ids = { mine: mine?.id as string, theirs: theirs?.id as string };
				for (const [answer, call] of calls(
					scope,
					scope.repository(Note),
					ids,
				)) {
					const given = await call().catch((error: unknown) =>
						error instanceof RemError ? error.code : error,
					);
					expect(given).toEqual(answer);
				}
				expect(await rows()).toEqual(before);
			});

			test("shared rows are written by any user's scope, and by that of shared rows no user's", async () => {
				const tenantId = `shared, ${wall}`;
				const scope = service().scope({ tenantId, userId: "u" });
				const notes = scope.repository(Note);
				const made = await notes.upsert({ name: "ours", userId: null });
				expect(made.userId).toBe(null);
				await notes.upsert({ id: made.id, name: "ours", userId: "u" });
				expect((await notes.getById(made.id))?.userId).toBe("u");
				const shared = service().scope({ tenantId, userId: null });
				await shared.batchUpsert({
					tableName: "notes",
					entities: [{ name: "ours" }],
				});
				for (const [code, row] of [
					["TENANT_MISMATCH", { name: "x", userId: "u" }],
					["DUPLICATE_KEY", { id: made.id, name: "x" }],
				] as const)
					expect(
						await codeOf(
							shared.batchUpsert({ tableName: "notes", entities: [row] }),
						),
					).toBe(code);
				const ofTenant = service().scope({ tenantId });
				const other = await ofTenant
					.repository(Note)
					.upsert({ name: "x", userId: "v" });
				expect(other.userId).toBe("v");
			});
		});

		test("binds the repository: filters, ids, sessions and changes", async () => {
			const notes = service()
				.scope({ tenantId: "a", userId: "u" })
				.repository(Note);
			const own = new Set(["a/null", "a/u"]);
			const all = { name: "note" };
			expect(ownersOf(await notes.find(all))).toEqual(own);
			expect(ownersOf(await notes.find({ ...all, tenantId: "a" }))).toEqual(
				own,
			);
			expect(
				ownersOf(await notes.find({ OR: [all, { tenantId: "b" }] })),
			).toEqual(own);
			expect(
				ownersOf(await notes.find({ AND: [all, { userId: "v" }] })),
			).toEqual(new Set());
			expect(await notes.count(all)).toBe(2);
			expect(ownersOf(await notes.getBySession({ sessionId: "s" }))).toEqual(
				own,
			);
			const iterated = [];
			for await (const row of notes.iterate(all)) iterated.push(row);
			expect(ownersOf(iterated)).toEqual(own);
			for (const [owner, id] of ids) {
				const isSeen = own.has(owner);
				expect((await notes.getById(id)) !== undefined, owner).toBe(isSeen);
				if (isSeen) continue;
				expect(await notes.delete(id), owner).toBe(false);
				expect(await notes.purge(id), owner).toBe(false);
			}
			for (const call of [
				notes.find({ tenantId: "b" }),
				notes.find({ tenantId: { ne: "a" } }),
				notes.count({ tenantId: "b" }),
				notes.getById(ids.get("b/u") as string, "b"),
				notes.getBySession({ sessionId: "s", tenantId: "b" }),
				notes.getBySession({ sessionId: "s", userId: "v" }),
				notes.delete(ids.get("b/u") as string, "b"),
				notes.upsert({ name: "x" }, { tenantId: "b" }),
				notes.upsert({ name: "x", tenantId: "b" }),
			])
				expect(await codeOf(call)).toBe("TENANT_MISMATCH");
			const written = await notes.upsert({ name: "by the scope" });
			expect(written).toMatchObject({ tenantId: "a", userId: "u" });
			expect(await notes.purge(written.id)).toBe(true);
		});

		test("of a tenant sees all its users' rows, and entities without tenants", async () => {
			const scope = service().scope({ tenantId: "a" });
			expect(await scope.repository(Note).count({ name: "note" })).toBe(3);
			await scope.batchUpsert({
				tableName: "common",
				entities: [{ name: "c" }],
			});
			expect(await scope.lookupEntity({ entityKey: "c" })).toBeDefined();
			expect(await scope.repository(Common).count()).toBe(1);
		});

		test("names a tenant, and one that rows can have", () => {
			for (const scope of [
				{},
				{ tenantId: "" },
				{ tenantId: "*" },
				{ tenantId: "a", userId: "" },
			])
				expect(() => service().scope(scope as Scope)).toThrow(
					expect.objectContaining({ code: "VALIDATION" }),
				);
		});
	});
});

test.each(walls)(
	"with %s, strict tenancy refuses every unscoped call, and a scope makes each of them scoped",
	async (wall) => {
		const service = await PostgresService.connect({
			connectionString:
				account !== undefined && wall === "row level security"
					? account.url
					: db.url,
			...options,
			strictTenancy: true,
		});
		try {
			// Each connection to `memory:` has its own embedded database.
			if (engine === "embedded") await service.migrate();
			const calls: Record<
				string,
				(api: never, scope: object) => Promise<unknown>
			> = {
				...Object.fromEntries(
					Object.entries(reads).map(([name, { read }]) => [name, read]),
				),
				link: (api: unknown) =>
					(api as typeof service).link({ from: "note", edges: [] }) as never,
				unlink: (api: unknown) =>
					(api as typeof service).unlink({ from: "note", dst: "x" }) as never,
				find: (api: unknown) =>
					(api as typeof service).repository(Note).find({}),
				count: (api: unknown) =>
					(api as typeof service).repository(Note).count() as never,
				getById: (api: unknown) =>
					(api as typeof service)
						.repository(Note)
						.getById("0190f7a0-0000-7000-8000-000000000000") as never,
			};
			for (const [name, call] of Object.entries(calls)) {
				expect(await codeOf(call(service as never, {})), name).toBe(
					"TENANT_REQUIRED",
				);
				const scope = service.scope({ tenantId: "a", userId: null });
				const expected = name.endsWith("link")
					? /VALIDATION|no error/
					: /no error/;
				expect(await codeOf(call(scope as never, {})), name).toMatch(expected);
			}
		} finally {
			await service.close();
		}
	},
);

import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { codeOf, useService } from "../support/engine.ts";

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);
const db = useService({
	models: [Page],
	embedding: { provider: "local", dimensions: 16 },
});

const text = "the same words";
const hostile = "'; DROP TABLE pages; --";
const tenants = ["own", "other", hostile];
const users = ["me", "you", null];

beforeAll(async () => {
	for (const tenantId of tenants)
		for (const userId of users)
			await db.service.batchUpsert({
				tableName: "pages",
				entities: [
					{ name: text, content: text, metadata: { tenantId, userId } },
				],
				tenantId,
				userId,
			});
});

interface Scope {
	readonly tenantId: string;
	readonly userId?: string | null;
}

const common = { tableName: "pages", limit: 100 } as const;

/** Every read by meaning, in every mode, and what a filter might reach for. */
const reads: Record<
	string,
	(scope: Scope) => Promise<readonly { metadata: unknown }[]>
> = {
	SEARCH: (scope) =>
		db.service.vectorSearch({ ...common, queryText: text, ...scope }),
	"SEARCH, approximate": (scope) =>
		db.service.vectorSearch({
			...common,
			queryText: text,
			mode: "approximate",
			...scope,
		}),
	"SEARCH of another tenant's rows": (scope) =>
		db.service.vectorSearch({
			...common,
			queryText: text,
			where: { OR: [{ tenantId: "other" }, { NOT: { tenantId: "other" } }] },
			...scope,
		}),
	hybrid: (scope) =>
		db.service.hybridSearch({ ...common, query: text, ...scope }),
	"hybrid of another user's rows": (scope) =>
		db.service.hybridSearch({
			...common,
			query: text,
			where: { OR: [{ userId: "you" }, { NOT: { userId: "you" } }] },
			...scope,
		}),
	"find, literally": ({ tenantId, userId }) =>
		db.service.repository(Page).find({
			tenantId,
			...(userId === undefined
				? {}
				: { OR: [{ userId: null }, ...(userId === null ? [] : [{ userId }])] }),
		}),
};

describe.each(Object.entries(reads))("%s", (_, read) => {
	test.each<[string, Scope, (string | null)[]]>([
		["the whole tenant", { tenantId: "own" }, ["me", "you", null]],
		[
			"a user's and shared rows",
			{ tenantId: "own", userId: "me" },
			["me", null],
		],
		["shared rows", { tenantId: "own", userId: null }, [null]],
		["a user without rows", { tenantId: "own", userId: "none" }, [null]],
		["a hostile user", { tenantId: "own", userId: hostile }, [null]],
		["a hostile tenant", { tenantId: hostile, userId: "me" }, ["me", null]],
		["a tenant without rows", { tenantId: "ow" }, []],
		["another spelling", { tenantId: "Own", userId: "me" }, []],
		["a pattern", { tenantId: "%" }, []],
	])("gives %s and nothing else", async (_, scope, owners) => {
		const rows = await read(scope);
		expect(rows.map(({ metadata }) => JSON.stringify(metadata)).sort()).toEqual(
			owners
				.map((userId) => JSON.stringify({ userId, tenantId: scope.tenantId }))
				.sort(),
		);
	});
});

test.each<[string, Scope]>([
	["an empty tenant", { tenantId: "" }],
	["the tenant that all read", { tenantId: "*" }],
	["an empty user", { tenantId: "own", userId: "" }],
	["a tenant with NUL", { tenantId: "own\0" }],
	["a tenant that is no text", { tenantId: ["own"] as never }],
])("searches refuse %s", async (_, scope) => {
	expect(
		await codeOf(
			db.service.vectorSearch({ ...common, queryText: text, ...scope }),
		),
	).toBe("VALIDATION");
	expect(
		await codeOf(db.service.hybridSearch({ ...common, query: text, ...scope })),
	).toBe("VALIDATION");
});

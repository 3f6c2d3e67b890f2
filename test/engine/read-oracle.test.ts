import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity } from "../../src/index.ts";
import { useService } from "../support/engine.ts";
import { nameScore } from "../support/trigrams.ts";

/**
 * Random requests over random rows: LOOKUP and FUZZY must give what a loop over
 * all rows gives, in that order. REM_TEST_READS sets how many.
 */
const reads = Number(process.env.REM_TEST_READS ?? 150);

const fields = { name: z.string() };
const Apple = defineEntity("apples", fields, { entityKeyField: "name" });
const Pear = defineEntity("pears", fields, { entityKeyField: "name" });
const Common = defineEntity("common", fields, {
	entityKeyField: "name",
	tenantScoped: false,
});

const db = useService({ models: [Apple, Pear, Common] });

const tenants = ["t1", "t10", "T1"];
const users = [null, "u", "v"];
const tables = ["apples", "pears", "common"] as const;
const words = ["sara", "sarah", "chen", "chan", "api", "x", "10", "日本"];

const tenant = fc.constantFrom(...tenants);
const user = fc.constantFrom(...users);
const table = fc.constantFrom(...tables);
const name = fc
	.tuple(
		fc.array(fc.constantFrom(...words), { minLength: 1, maxLength: 3 }),
		fc.constantFrom(" ", "-", "_", " - ", ""),
		fc.constantFrom((text: string) => text, upper, capital),
	)
	.map(([parts, between, spelling]) => spelling(parts.join(between)));

function upper(text: string): string {
	return text.toUpperCase();
}

function capital(text: string): string {
	return text.charAt(0).toUpperCase() + text.slice(1);
}

interface StoredRow {
	readonly id: string;
	readonly table: string;
	readonly tenant: string;
	readonly user: string | null;
	readonly name: string;
	readonly day: number;
	readonly isDeleted: boolean;
}

const rows: StoredRow[] = [];

beforeAll(async () => {
	const drawn = fc.sample(
		fc.record({ table, tenant, user, name, day: fc.nat(20) }),
		{ numRuns: 400, seed: 6 },
	);
	for (const [at, row] of drawn.entries()) {
		const isCommon = row.table === "common";
		const { ids } = await db.service.batchUpsert({
			tableName: row.table,
			entities: [
				{
					name: row.name,
					userId: row.user,
					createdAt: new Date(Date.UTC(2020, 0, 1 + row.day)),
				},
			],
			tenantId: row.tenant,
		});
		const id = ids[0] as string;
		const known = rows.find((other) => other.id === id);
		if (known !== undefined) continue; // created_at never changes
		const isDeleted = at % 9 === 0;
		const entity = { apples: Apple, pears: Pear, common: Common }[row.table];
		if (isDeleted) await db.service.repository(entity).delete(id, row.tenant);
		rows.push({
			...row,
			id,
			isDeleted,
			tenant: isCommon ? "*" : row.tenant,
		});
	}
});

interface Scope {
	readonly tenantId: string;
	readonly userId?: string | null;
	readonly entityType?: (typeof tables)[number];
}

const scope: fc.Arbitrary<Scope> = fc.record(
	{
		tenantId: fc.constantFrom(...tenants, "t", "*'--"),
		userId: fc.constantFrom(...users, "nobody"),
		entityType: table,
	},
	{ requiredKeys: ["tenantId"] },
);

function visible({ tenantId, userId, entityType }: Scope): StoredRow[] {
	return rows.filter(
		(row) =>
			!row.isDeleted &&
			(row.tenant === tenantId || row.tenant === "*") &&
			(entityType === undefined || row.table === entityType) &&
			(userId === undefined || row.user === null || row.user === userId),
	);
}

function normalized(key: string): string {
	const folded = key.normalize("NFKC").toLowerCase();
	return folded.replace(/[\s_-]+/g, "-").replace(/^-|-$/g, "");
}

type Sorting = (row: StoredRow) => readonly (string | number)[];

/** Ascending by each part of the sorting in turn. */
function sorted(list: readonly StoredRow[], sorting: Sorting): StoredRow[] {
	return list.toSorted((a, b) => {
		const [left, right] = [sorting(a), sorting(b)];
		const at = left.findIndex((part, index) => part !== right[index]);
		if (at === -1) return 0;
		return (left[at] as number) < (right[at] as number) ? -1 : 1;
	});
}

test("LOOKUP gives what a loop over all rows gives, in that order", async () => {
	await fc.assert(
		fc.asyncProperty(
			scope,
			fc.array(name, { minLength: 1, maxLength: 4 }),
			fc.boolean(),
			async (request, entityKeys, hydrate) => {
				const expected = entityKeys.flatMap((key) =>
					sorted(
						visible(request).filter(
							(row) => normalized(row.name) === normalized(key),
						),
						(row) => [
							row.name === key ? 0 : 1,
							typeof request.userId === "string" && row.user === request.userId
								? 0
								: 1,
							row.user === null ? 0 : 1,
							-row.day,
							row.table,
							row.id,
						],
					).map(({ id }) => [key, id]),
				);
				const hits = await db.service.lookupEntities({
					...request,
					entityKeys,
					hydrate,
				});
				expect(hits.map((hit) => [hit.requestedKey, hit.entityId])).toEqual(
					expected,
				);
			},
		),
		{ numRuns: reads },
	);
});

test("FUZZY gives what a loop over all rows gives, in that order", async () => {
	await fc.assert(
		fc.asyncProperty(
			scope,
			name,
			fc.constantFrom(0, 0.05, 0.2, 0.3, 0.5, 0.8, 1),
			fc.constantFrom(1, 3, 1000),
			async (request, query, threshold, limit) => {
				const score = (row: StoredRow) => nameScore(row.name, query);
				const expected = sorted(
					visible(request).filter(
						(row) => score(row) >= Math.fround(threshold),
					),
					(row) => [-score(row)],
				);
				const hits = await db.service.fuzzySearch({
					...request,
					query,
					threshold,
					limit,
				});
				// The driver reads a REAL by its shortest digits.
				expect(hits.map((hit) => Math.fround(hit.score))).toEqual(
					expected.slice(0, limit).map(score),
				);
				const eligible = new Map(expected.map((row) => [row.id, score(row)]));
				for (const hit of hits)
					expect(eligible.get(hit.entityId)).toBe(Math.fround(hit.score));
			},
		),
		{ numRuns: reads },
	);
});

import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import type { Handle } from "../../src/db/database.ts";
import { defineEntity } from "../../src/index.ts";
import { lookup } from "../../src/query/lookup.ts";
import { coreOf, useService } from "../support/engine.ts";

// On Citus a lookup of one key reads one table, and an entry of the cache proves
// that it is whole. The statement is the same on any server.

const Note = defineEntity(
	"notes",
	{ name: z.string() },
	{ entityKeyField: "name" },
);
const db = useService({ models: [Note] });
const tenantId = "acme";
const schemaOf = () => coreOf(db.service, tenantId).settings.schema;
const token = "00000000-0000-4000-8000-000000000001";

beforeAll(async () => {
	await db.service.batchUpsert({
		tableName: "notes",
		entities: [
			{ name: "Sarah Chen", tenantId },
			{ name: "sarah-chen", tenantId, userId: "u1" },
			{ name: "Sarah Chen", tenantId: "globex" },
		],
	});
	await db.service.execute(
		`INSERT INTO ${schemaOf()}.kv_store (entity_key, entity_type, entity_id, tenant_id, normalized_key) VALUES ('', '', '${token}', '', '')`,
	);
});

/** What a lookup finds, the statements it sent, and whether it noticed that the cache is not known to be whole. */
async function find(entityKeys: string[], options: object = {}) {
	const core = coreOf(db.service, tenantId);
	const texts: string[] = [];
	let isNoticed = false;
	const recording: Handle = {
		...core.db,
		query: (statement, options) => {
			if ("text" in statement) texts.push(statement.text);
			return core.db.query(statement, options);
		},
	};
	const found = await lookup(
		{
			db: recording,
			schema: core.settings.schema,
			fallback: {
				marker: "entry",
				sources: () => core.kv.sources(core.db),
				onNotReady: () => {
					isNoticed = true;
				},
			},
		},
		{ entityKeys, tenantId, ...options },
	);
	return { keys: found.map(({ hit }) => hit.entityKey), texts, isNoticed };
}

const markAs = (key: string) =>
	db.service.execute(
		`UPDATE ${schemaOf()}.kv_store SET entity_key = '${key}' WHERE entity_id = '${token}'`,
	);

test("one statement of one table finds every spelling of a key, the exact one first", async () => {
	await markAs("ready");
	const { keys, texts } = await find(["Sarah Chen"]);
	expect(keys).toEqual(["Sarah Chen", "sarah-chen"]);
	expect((await find(["sarah-chen"])).keys).toEqual([
		"sarah-chen",
		"Sarah Chen",
	]);
	expect(texts).toHaveLength(1);
	expect(texts[0]?.match(/\bSELECT\b/g)).toHaveLength(1);
	expect(texts[0]).not.toMatch(/\b(JOIN|WITH|EXISTS)\b/);
});

test("no key finds the entry of the marker, and what is not there is known by one statement", async () => {
	await markAs("ready");
	expect((await find(["ready"])).keys).toEqual([]);
	const { keys, texts } = await find(["nobody"]);
	expect(keys).toEqual([]);
	expect(texts).toHaveLength(1);
});

test("it keeps to user and entity type", async () => {
	await markAs("ready");
	const found = async (options: object) =>
		(await find(["Sarah Chen"], options)).keys;
	expect(await found({ userId: null })).toEqual(["Sarah Chen"]);
	expect(await found({ userId: "u1" })).toEqual(["Sarah Chen", "sarah-chen"]);
	expect(await found({ entityType: "notes" })).toHaveLength(2);
	expect(await found({ entityType: "others" })).toEqual([]);
});

test("without the entry, or before it is ready, the tables answer", async () => {
	await markAs("");
	const { keys, isNoticed } = await find(["Sarah Chen"]);
	expect(keys).toEqual(["Sarah Chen", "sarah-chen"]);
	expect(isNoticed).toBe(true);
});

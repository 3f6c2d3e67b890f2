import { randomInt } from "node:crypto";
import type { Handle, PostgresService } from "../../src/index.ts";
import {
	comparison,
	itemName,
	type models,
	readiness,
	tenants,
	truth,
} from "./items.ts";
import type { Tally } from "./tally.ts";

type Service = PostgresService<typeof models>;

const snapshot = { isolation: "repeatable read", readOnly: true } as const;
const namesInUse = 2000;

/** Asks by name and by nearly the name, and compares with the tables in the same snapshot. */
export async function readAndCompare(
	service: Service,
	tally: Tally,
	/** On a standby the unlogged cache cannot even be asked whether it is ready. */
	isStandby = false,
): Promise<void> {
	const tenantId = tenants[randomInt(tenants.length)] as string;
	const numbers = [0, 1, 2].map(() => randomInt(namesInUse));
	await service.transaction(async (tx) => {
		const ready = !isStandby && (await isReady(tx));
		const entityKeys = [
			...numbers.map((number) => itemName(number).toLowerCase()),
			`${itemName(randomInt(namesInUse))}#${randomInt(5)}`,
		];
		await compareLookup(service, tx, tally, tenantId, entityKeys);
		if (randomInt(5) === 0)
			await compareFuzzy(
				service,
				tx,
				tally,
				tenantId,
				itemName(numbers[0] ?? 0),
			);
		tally.count(
			ready
				? "snapshots read from the cache"
				: "snapshots read from the tables",
		);
	}, snapshot);
}

/** The whole cache against the tables in one snapshot, if it says that it is ready. */
export async function compareWhole(
	service: Service,
	tally: Tally,
): Promise<boolean> {
	return service.transaction(async (tx) => {
		const { rows } = await tx.query({ text: comparison, values: [] });
		// Asked behind it: a TRUNCATE between the two would be seen by an older
		// snapshot too, and the comparison holds a lock against it.
		if (!(await isReady(tx))) return false;
		tally.count("full comparisons while ready");
		if (rows.length > 0)
			tally.violate(
				`the cache is ready and differs in ${rows.length} entries: ${JSON.stringify(rows.slice(0, 3))}`,
			);
		return true;
	}, snapshot);
}

async function isReady(tx: Handle): Promise<boolean> {
	const { rows } = await tx.query<{ ready: boolean }>({
		text: readiness,
		values: [],
	});
	return rows[0]?.ready === true;
}

async function compareLookup(
	service: Service,
	tx: Handle,
	tally: Tally,
	tenantId: string,
	entityKeys: readonly string[],
): Promise<void> {
	const hits = await service.lookupEntities({
		entityKeys,
		tenantId,
		transaction: tx,
	});
	const { rows } = await tx.query<{ line: string }>({
		text: `SELECT concat_ws('|', q.key, t.entity_type, t.entity_id, t.entity_key, t.content_summary) AS line
FROM unnest(string_to_array($1, ',')) AS q (key)
JOIN (${truth}) AS t ON t.tenant_id = $2 AND t.normalized_key = replace(lower(q.key), ' ', '-')`,
		values: [entityKeys.join(","), tenantId],
	});
	tally.count("LOOKUPs compared");
	expectSame(
		tally,
		"LOOKUP",
		hits.map((hit) =>
			[
				hit.requestedKey,
				hit.entityType,
				hit.entityId,
				hit.entityKey,
				hit.contentSummary,
			].join("|"),
		),
		rows.map(({ line }) => line),
	);
}

async function compareFuzzy(
	service: Service,
	tx: Handle,
	tally: Tally,
	tenantId: string,
	query: string,
): Promise<void> {
	const hits = await service.fuzzySearch({
		query,
		tenantId,
		threshold: 0.5,
		limit: 50,
		transaction: tx,
	});
	const { rows } = await tx.query<{ line: string }>({
		text: `SELECT concat_ws('|', entity_type, entity_id, entity_key) AS line
FROM (${truth}) AS t WHERE tenant_id = $1 AND similarity(entity_key, $2) >= 0.5
ORDER BY similarity(entity_key, $2) DESC, entity_key, entity_type, entity_id LIMIT 50`,
		values: [tenantId, query],
	});
	tally.count("FUZZYs compared");
	expectSame(
		tally,
		"FUZZY",
		hits.map((hit) => [hit.entityType, hit.entityId, hit.entityKey].join("|")),
		rows.map(({ line }) => line),
	);
}

function expectSame(
	tally: Tally,
	what: string,
	found: readonly string[],
	expected: readonly string[],
): void {
	const [one, other] = [found, expected].map((lines) =>
		[...lines].sort().join("\n"),
	);
	if (one !== other)
		tally.violate(
			`${what} answered otherwise than the tables: ${found.length} hits, expected ${expected.length}`,
		);
}

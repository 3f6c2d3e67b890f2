import { EdgeCount } from "../core/edge-count.ts";
import {
	type BatchUpsertResult,
	type PlannedWrite,
	planWrite,
	type UpsertRowsOptions,
	upsertRows,
} from "../core/upsert-rows.ts";
import type { BulkReport } from "../indexer/bulk-load.ts";
import type { EntityTable } from "../models/registry.ts";
import type { ValidRow } from "../models/validate.ts";
import { batchUpsert } from "../store/batch-upsert.ts";
import { add, nothingWritten } from "../store/chunk-progress.ts";
import { distinctRows } from "../store/distinct-rows.ts";
import type { UpsertPart } from "../store/prepare.ts";
import type { UpsertResult } from "../store/upsert-result.ts";
import { membersOf } from "../util/present.ts";
import { bucketOf } from "./bucket-of.ts";
import type { Buckets } from "./buckets.ts";

/**
 * Writes each row into the bucket of its tenant, and rows without tenants into
 * all buckets, in as many transactions as without buckets.
 */
export async function upsertInBuckets(
	buckets: Buckets,
	{ entity }: EntityTable,
	options: UpsertRowsOptions,
): Promise<BatchUpsertResult> {
	const tableIn = (number: number) =>
		buckets.at(number).registry.get(entity.tableName);
	if (entity.tenantScoped && options.tenantId !== undefined) {
		const number = buckets.numberOf(options.tenantId);
		return upsertRows(buckets.at(number), tableIn(number), options);
	}
	const writes = new Map<number, PlannedWrite>();
	const written = new Map<number, UpsertResult>();
	const writeInto = async (number: number) => {
		const write =
			writes.get(number) ??
			(await planWrite(buckets.at(number), tableIn(number), options, {
				spansBuckets: true,
			}));
		writes.set(number, write);
		return write;
	};
	const split = async (rows: readonly ValidRow[]): Promise<UpsertPart[]> => {
		const parts: UpsertPart[] = [];
		for (const [number, of] of byBucket(buckets, { entity, rows }))
			parts.push({
				call: (await writeInto(number)).call,
				rows: of,
				isCopy: !entity.tenantScoped && parts.length > 0,
				onCommitted: (result) => {
					const sum = written.get(number) ?? nothingWritten;
					written.set(number, add(sum, result));
				},
			});
		return parts;
	};
	const edges = new EdgeCount();
	try {
		const { call } = await writeInto(firstBucket(buckets, options.entities));
		const result = await batchUpsert(
			{ ...call, split },
			edges.of(options.entities),
		).finally(() => endAll(writes.values()));
		for (const [number, sum] of written)
			await writes.get(number)?.note(sum, edges.edges);
		const bulk = reportOf([...written.keys()].map((at) => writes.get(at)));
		return bulk === undefined ? result : { ...result, bulk };
	} finally {
		await endAll(writes.values());
	}
}

/** The bucket of the first row, before it is validated: rows of one tenant need the models of that bucket only. */
function firstBucket(buckets: Buckets, entities: unknown): number {
	const [first] = Array.isArray(entities) ? entities : [];
	try {
		const { tenantId } = membersOf(first);
		const tenant =
			typeof tenantId === "string" ? tenantId : buckets.settings.defaultTenant;
		return tenant === null ? 0 : buckets.numberOf(tenant);
	} catch {
		return 0; // a getter threw: the write reports which entity it is
	}
}

/** The rows of each bucket, ordered by number, so that concurrent writers lock the buckets in the same order. */
function byBucket(
	{ schemas }: Buckets,
	{
		entity,
		rows,
	}: {
		readonly entity: EntityTable["entity"];
		readonly rows: readonly ValidRow[];
	},
): [number, readonly ValidRow[]][] {
	if (!entity.tenantScoped) return schemas.map((_, number) => [number, rows]);
	const groups = new Map<number, ValidRow[]>();
	for (const row of rows) {
		const number = bucketOf(row.tenantId, schemas.length);
		const group = groups.get(number);
		if (group === undefined) groups.set(number, [row]);
		else group.push(row);
	}
	// One id for two tenants is refused, also where they are in two buckets.
	if (groups.size > 1) distinctRows(entity, rows);
	return [...groups].sort(([a], [b]) => a - b);
}

async function endAll(writes: Iterable<PlannedWrite>): Promise<void> {
	for (const write of writes) await write.end();
}

function reportOf(
	writes: readonly (PlannedWrite | undefined)[],
): BulkReport | undefined {
	const reports = writes.flatMap((write) => write?.report ?? []);
	if (reports.length === 0) return undefined;
	const explanations = new Set(reports.map(({ explanation }) => explanation));
	return {
		dropped: reports.flatMap(({ dropped }) => dropped),
		explanation: [...explanations].join("; "),
	};
}

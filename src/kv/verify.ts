import type { Database, Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import {
	compareSample,
	compareType,
	findUnregistered,
	type KvDifference,
} from "./compare.ts";
import { findKvProblems, type KvProblem } from "./problems.ts";
import { type KvProgress, startKvProgress } from "./progress.ts";
import { orderedWalk, seeingAll } from "./read-settings.ts";
import { isKvReady } from "./rebuild.ts";
import { repairDifferences } from "./repair.ts";
import { type KvSource, readKvSources } from "./tables.ts";

/** Differences that a comparison names by default. */
export const defaultVerifyLimit = 1000;

export interface VerifyOptions {
	/** Repair the entries that differ, and no others. @default false */
	readonly repair?: boolean | undefined;
	/** Compare only so many entities and entries of each type, picked at random. @default all */
	readonly sample?: number | undefined;
	/** Max. number of differences to name; all are counted, and repaired. @default 1000 */
	readonly limit?: number | undefined;
	readonly onProgress?: ((progress: KvProgress) => void) | undefined;
	/** Stops the comparison; nothing is repaired then. */
	readonly signal?: AbortSignal | undefined;
}

export interface VerifyResult {
	/** Whether the cache was in use; if not, nothing was compared, and reads are answered from the tables. */
	readonly ready: boolean;
	/** Entities that were compared. */
	readonly compared: number;
	/** Entries that differed. */
	readonly differing: number;
	/** The first of them. */
	readonly differences: readonly KvDifference[];
	/** Entries that were repaired. */
	readonly repaired: number;
	/** What made, or will make, the cache differ. */
	readonly problems: readonly KvProblem[];
}

/** Compares the whole cache with the primary tables as they are at one moment. */
export async function verifyKv(
	db: Database,
	schema: string,
	{ repair = false, limit = defaultVerifyLimit, ...options }: VerifyOptions,
): Promise<VerifyResult> {
	const found = await db.transaction((tx) => compareAll(tx, schema, options), {
		isolation: "repeatable read",
		readOnly: true,
		settings: await seeingAll(db),
	});
	const { differences } = found;
	if (repair) await repairDifferences(db, schema, found);
	return {
		ready: found.ready,
		compared: found.compared,
		differing: differences.length,
		differences: differences.slice(0, limit),
		repaired: repair ? differences.length : 0,
		problems: await findKvProblems(db, schema, found.sources),
	};
}

interface Comparison {
	readonly ready: boolean;
	readonly sources: readonly KvSource[];
	readonly compared: number;
	readonly differences: readonly KvDifference[];
}

async function compareAll(
	tx: Handle,
	schema: string,
	{
		sample,
		onProgress,
		signal,
	}: Pick<VerifyOptions, "sample" | "onProgress" | "signal">,
): Promise<Comparison> {
	const sources = await readKvSources(tx, schema);
	const nothing = { ready: false, sources, compared: 0, differences: [] };
	if (!(await isReadyHere(tx, schema))) return nothing;
	if (sample !== undefined)
		return compareSamples(tx, { schema, sources }, sample);
	const shown = await startKvProgress(tx, sources, onProgress);
	let compared = 0;
	const steps = {
		add: (entityType: string, rows: number) => {
			if (signal?.aborted)
				throw new RemError("CANCELLED", "the comparison was stopped");
			compared += rows;
			shown.add(entityType, rows);
		},
	};
	const differences: KvDifference[] = [];
	for (const source of sources) {
		const ofType = await tx.transaction(
			(inner) => compareType(inner, { schema, source }, steps),
			{ settings: orderedWalk },
		);
		differences.push(...ofType);
	}
	differences.push(...(await findUnregistered(tx, schema, sources)));
	// A TRUNCATE between the first question and the first comparison is visible to
	// every snapshot, also by an older one.
	if (!(await isReadyHere(tx, schema))) return nothing;
	return { ready: true, sources, compared, differences };
}

async function compareSamples(
	tx: Handle,
	{ schema, sources }: { schema: string; sources: readonly KvSource[] },
	size: number,
): Promise<Comparison> {
	let compared = 0;
	const differences: KvDifference[] = [];
	for (const source of sources) {
		const some = await compareSample(tx, { schema, source }, size);
		compared += some.found;
		differences.push(...some.differences);
	}
	const ready = await isReadyHere(tx, schema);
	return { ready, sources, compared, differences: ready ? differences : [] };
}

async function isReadyHere(tx: Handle, schema: string): Promise<boolean> {
	try {
		return await isKvReady(tx, schema);
	} catch (error) {
		if (error instanceof RemError && error.sqlState === "0A000")
			throw new RemError(
				"DATABASE",
				"this is a standby: it has no unlogged kv_store to verify",
				{
					hint: "verify on the primary",
					cause: error,
					sqlState: "0A000",
				},
			);
		throw error;
	}
}

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Database, Handle } from "../db/database.ts";
import { embeddableTexts, textHash } from "../db/embedding-queue.ts";
import { encodeArray } from "../db/encode.ts";
import { tableRef } from "../db/tables.ts";
import type { EmbeddingFailure } from "../embeddings/embed-each.ts";
import { embedTexts, type TextOutcome } from "../embeddings/embed-texts.ts";
import type { CallOptions } from "../embeddings/embedding-run.ts";
import { type FailureKind, isProviders } from "../embeddings/failure.ts";
import { estimateTokens } from "../embeddings/pack.ts";
import type { EmbeddingProvider } from "../embeddings/provider.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { sql } from "../sql.ts";
import { count } from "../telemetry/metrics.ts";
import { databaseAttributes, span } from "../telemetry/span.ts";
import { elementAt } from "../util/present.ts";
import {
	hasCurrentVector,
	settleTextsSql,
	spaceRow,
} from "../vectors/queue-texts.ts";
import { type EmbeddedText, storeVectors } from "../vectors/store-vectors.ts";
import { type EntityField, textArrays, textKey } from "../vectors/texts.ts";
import { asRegistered, readFields } from "./fields.ts";
import {
	countLeased,
	type FailedText,
	type Lease,
	type Leased,
	leasedIds,
	leaseMs,
	lockLeased,
	type Partition,
	pauseMs,
	recordFailures,
	releaseLease,
	renewLease,
	takeLease,
} from "./queue.ts";

/** What working on the queue needs. */
export interface EmbedContext {
	readonly db: Database;
	readonly schema: string;
	/** The table of that name, if it is one of the service's and has vectors. */
	readonly table: (name: string) => EntityTable | undefined;
	/** The provider of a space; throws what it lacks. */
	readonly open: (space: VectorSpace) => OpenProvider;
}

export interface OpenProvider {
	readonly provider: EmbeddingProvider;
	readonly calls: CallOptions;
}

export interface WorkOptions extends OpenProvider {
	/** Most texts to take. */
	readonly limit: number;
	readonly signal: AbortSignal | undefined;
}

/** The outcome of one lease. */
export interface LeaseResult {
	readonly partition: Partition;
	/** Texts that were taken; 0: nothing is due. */
	readonly taken: number;
	/** Texts that now have their vector. */
	readonly embedded: number;
	/** Texts that left the queue because they already had their vector, or are gone. */
	readonly settled: number;
	/** Texts that were dead-lettered. */
	readonly dead: number;
	/** Estimated tokens of the texts that were sent. */
	readonly tokens: number;
	/** Why the provider gives no vectors at the moment. */
	readonly failure: EmbeddingFailure | undefined;
}

const nothing: Omit<LeaseResult, "partition"> = {
	taken: 0,
	embedded: 0,
	settled: 0,
	dead: 0,
	tokens: 0,
	failure: undefined,
};

/**
 * Takes texts of a partition, embeds them with no transaction open, and stores the
 * vectors of those that have not changed. What is not settled is returned to the
 * queue, also after an error; the lease of a process that dies ends.
 */
export function workOnLease(
	context: EmbedContext,
	partition: Partition,
	options: WorkOptions,
): Promise<LeaseResult> {
	return span(
		`embeddings.batch ${partition.tableName}`,
		spanOf(partition),
		() => work(context, partition, options),
	);
}

function spanOf(partition: Partition) {
	return {
		attributes: {
			...databaseAttributes("embeddings.batch"),
			...namesOf(partition),
		},
		found: ({ taken, embedded, settled, dead }: LeaseResult) => ({
			"remdb.taken": taken,
			"remdb.embedded": embedded,
			"remdb.settled": settled,
			"remdb.dead": dead,
		}),
	};
}

function namesOf({ tableName, provider, model }: Partition) {
	return {
		"db.collection.name": tableName,
		"gen_ai.provider.name": provider,
		"gen_ai.request.model": model,
	};
}

async function work(
	context: EmbedContext,
	partition: Partition,
	{ provider, calls, limit, signal }: WorkOptions,
): Promise<LeaseResult> {
	const modelled = context.table(partition.tableName);
	if (modelled === undefined) return { ...nothing, partition };
	const { db, schema } = context;
	const lease = await takeLease(db, schema, {
		partition,
		owner: randomUUID(),
		limit,
	});
	if (lease.texts.length === 0) return { ...nothing, partition };
	let table = modelled;
	const heartbeat = setInterval(() => {
		// One that is missed costs nothing, or at worst a second call for these texts.
		renewLease(db, schema, lease).catch(() => {});
	}, leaseMs / 4);
	heartbeat.unref();
	try {
		// Read when the texts are taken: a text of a field that only another version
		// of the model embeds is not gone.
		table = asRegistered(modelled, await readFields(db, schema));
		const texts = await readTexts(db, table, lease);
		const wanting = texts.filter(({ isDone }) => !isDone);
		const outcomes = await embedTexts(
			provider,
			wanting.map(({ content }) => content),
			{ ...calls, purpose: "document", signal },
		);
		return await settle(db, { table, lease }, { wanting, outcomes, signal });
	} catch (error) {
		await releaseLease(db, schema, lease).catch(() => {
			// The database cannot be reached: the lease ends by itself.
		});
		throw error;
	} finally {
		clearInterval(heartbeat);
	}
}

interface WantingText extends Leased {
	readonly content: string;
	readonly contentHash: Buffer;
	/** Whether it has its vector already. */
	readonly isDone: boolean;
}

/** The texts as they are now; one that is gone is not among them. */
async function readTexts(
	db: Handle,
	table: EntityTable,
	{ partition, texts }: Lease,
): Promise<WantingText[]> {
	const attempts = texts.map((text) => text.attempts);
	const { ids, fields } = textArrays(texts);
	const { rows } = await db.query<WantingText>(sql`
SELECT r.id AS "entityId", f.field_name AS field, i.attempts, f.content, ${textHash} AS "contentHash",
  ${hasCurrentVector(table)} AS "isDone"
FROM unnest(${ids}, ${fields}, ${encodeArray("integer", attempts)}::integer[])
  AS i (entity_id, field_name, attempts)
JOIN ${tableRef(table)} AS r ON r.id = i.entity_id
CROSS JOIN LATERAL ${embeddableTexts(table, "r")}
CROSS JOIN ${spaceRow(partition)}
WHERE f.field_name = i.field_name`);
	return rows;
}

// Vectors that were paid for are only discarded where others lock the text for
// longer than this: a writer for the first, a worker that looks for texts to take
// for the second. That one owns the locks until its commit is on disk.
const settleAttempts = 6;
const maxSettleAttempts = 60;
const settlePauseMs = 25;
const maxSettlePauseMs = 150;

async function settle(
	db: Database,
	leased: LeasedTexts,
	{ wanting, outcomes, signal }: Outcomes,
): Promise<LeaseResult> {
	const { table, lease } = leased;
	const made: (EmbeddedText & WantingText)[] = [];
	const failed: FailedText[] = [];
	let failure: EmbeddingFailure | undefined;
	outcomes.forEach((outcome, index) => {
		const text = elementAt(wanting, index);
		if ("passages" in outcome) {
			made.push({ ...text, passages: outcome.passages });
			return;
		}
		failed.push(toFailed(text, outcome));
		if (isProviders(outcome.kind)) failure ??= outcome;
	});
	const { schema } = table;
	let embedded = 0;
	let done = 0;
	let left = lease.texts.length;
	for (let attempt = 1; left > 0; attempt++) {
		const step = await storeOutcomes(db, leased, { made, failed });
		embedded += step.embedded;
		done += step.done;
		left -= step.done + step.failed;
		if (left === 0 || attempt === maxSettleAttempts || signal?.aborted) break;
		// Another client has locked them, if only to see that they cannot be taken; a
		// change of a text clears its owner.
		left = await countLeased(db, schema, lease);
		if (left === 0) break;
		if (attempt >= settleAttempts && !(await isAnyFree(db, table, lease)))
			break;
		await sleep(
			Math.min(settlePauseMs * attempt, maxSettlePauseMs),
			undefined,
			{ ref: false },
		);
	}
	await releaseLease(db, schema, lease);
	const dead = failed.filter(({ isDeadLettered }) => isDeadLettered).length;
	if (dead > 0)
		count("remdb.embeddings.dead_letters", namesOf(lease.partition), dead);
	return {
		embedded,
		settled: done - embedded,
		partition: lease.partition,
		taken: lease.texts.length,
		dead,
		tokens: made.reduce((sum, { content }) => sum + estimateTokens(content), 0),
		failure,
	};
}

interface LeasedTexts {
	readonly table: EntityTable;
	readonly lease: Lease;
}

interface Outcomes {
	/** The texts that were sent. */
	readonly wanting: readonly WantingText[];
	/** Of each of them, in its place. */
	readonly outcomes: readonly TextOutcome[];
	readonly signal: AbortSignal | undefined;
}

/** Whether a text that is still the worker's is in a row that no client is writing. */
async function isAnyFree(
	db: Handle,
	table: EntityTable,
	lease: Lease,
): Promise<boolean> {
	const { rowCount } = await db.query(sql`
SELECT FROM ${tableRef(table)} AS r WHERE r.id IN (${leasedIds(table.schema, lease)}) LIMIT 1 FOR SHARE SKIP LOCKED`);
	return rowCount > 0;
}

interface Stored {
	/** Texts whose vector was stored now. */
	readonly embedded: number;
	/** Texts that are out of the queue, these included. */
	readonly done: number;
	readonly failed: number;
}

/** Stores the outcomes of the texts that no other client has locked at this moment. */
function storeOutcomes(
	db: Database,
	{ table, lease }: LeasedTexts,
	outcomes: {
		readonly made: readonly EmbeddedText[];
		readonly failed: readonly FailedText[];
	},
): Promise<Stored> {
	const { schema } = table;
	return db.transaction(
		async (tx) => {
			const locked = await lockLeased(tx, schema, lease);
			const keys = new Set(locked.map(textKey));
			const isLocked = (text: EntityField) => keys.has(textKey(text));
			const made = outcomes.made.filter(isLocked);
			const failed = outcomes.failed.filter(isLocked);
			// Rows that another client is writing come in a later attempt.
			const stored = await storeVectors(tx, table, {
				texts: made,
				space: lease.partition,
				rowLock: "skip",
			});
			await recordFailures(tx, schema, {
				partition: lease.partition,
				failed,
			});
			const { rowCount } = await tx.query(
				settleTextsSql(table, locked, lease.partition),
			);
			return {
				embedded: stored.length,
				done: rowCount,
				failed: failed.length,
			};
		},
		{ retries: 5, settings: { enable_seqscan: "off" } },
	);
}

// Invalid vectors may be caused by a single text, which the provider does not report.
const maxInvalidAnswers = 5;

/** A refused text is dead-lettered at once; a provider that is down is retried without limit. */
function isPermanent(kind: FailureKind, attempts: number): boolean {
	return (
		kind === "text" || (kind === "answer" && attempts >= maxInvalidAnswers)
	);
}

function toFailed(
	text: WantingText,
	{ error, kind, retryAfterMs }: EmbeddingFailure,
): FailedText {
	return {
		...text,
		isDeadLettered: isPermanent(kind, text.attempts + 1),
		delayMs: pauseMs(text.attempts, retryAfterMs),
		reason: error.message,
	};
}

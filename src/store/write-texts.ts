import type { Handle } from "../db/database.ts";
import { sendPipelined } from "../db/pipelined.ts";
import type { EntityTable } from "../models/registry.ts";
import type { VectorSpace } from "../models/vector.ts";
import { elementAt } from "../util/present.ts";
import {
	anyQueuedSql,
	queueTextsSql,
	settleTextsSql,
} from "../vectors/queue-texts.ts";
import {
	type EmbeddedText,
	removeOutdated,
	storeVectors,
} from "../vectors/store-vectors.ts";
import type { EntityField } from "../vectors/texts.ts";
import type { CurrentText, RowLock } from "../vectors/write-vectors.ts";
import type { PlannedRow } from "./plan-rows.ts";
import type { Prepared, TextVectors } from "./prepare.ts";

export interface WrittenTexts {
	/** How many texts were given their vectors. */
	readonly embedded: number;
	/** How many texts were left to the embedding worker. */
	readonly queued: number;
}

/**
 * Stores the vectors of a batch and removes outdated ones; then a text that has
 * its vector leaves the queue, and one that got none enters it.
 */
export async function writeTexts(
	tx: Handle,
	table: EntityTable,
	{ rows, space, vectors, ids }: Prepared & { readonly ids: readonly string[] },
): Promise<WrittenTexts> {
	if (!table.entity.createEmbeddings) return { embedded: 0, queued: 0 };
	const written = rows.map((row, index) =>
		textsOf(row, elementAt(ids, index), vectors),
	);
	const outdated = written.flatMap(({ outdated }) => outdated);
	if (space === undefined) {
		await removeOutdated(tx, table, { texts: outdated, space });
		return { embedded: 0, queued: 0 };
	}
	const texts = new Map<RowLock, readonly EmbeddedText[]>();
	for (const rowLock of ["new", "locked", "wait"] as const) {
		const ofLock = written.filter((row) => row.rowLock === rowLock);
		const embedded = ofLock.flatMap(({ embedded }) => embedded);
		texts.set(
			rowLock,
			await storeVectors(tx, table, { texts: embedded, space, rowLock }),
		);
	}
	await removeOutdated(tx, table, { texts: outdated, space });
	// A new row was not in the queue. A row that was not locked may have changed,
	// and its text be queued again.
	await settleTexts(tx, table, [
		...written.flatMap(({ rowLock, handled }) =>
			rowLock === "locked" ? handled : [],
		),
		...(texts.get("wait") ?? []),
	]);
	return {
		embedded: [...texts.values()].reduce((sum, { length }) => sum + length, 0),
		queued: await queue(tx, table, { rows: written, space }),
	};
}

/** What is to be done with the texts of a row. */
interface RowTexts {
	readonly rowLock: RowLock;
	readonly embedded: readonly EmbeddedText[];
	/** Texts that were to get a vector, and for which the provider returned none. */
	readonly failed: readonly EntityField[];
	/** Texts that another process is to embed. */
	readonly left: readonly EntityField[];
	/** Fields whose text changed or was embedded. */
	readonly handled: readonly EntityField[];
	/** Texts that changed and got no vector: those of the older text go. */
	readonly outdated: readonly CurrentText[];
}

function textsOf(
	{ storedId, isChanged, texts, touched, left }: PlannedRow,
	entityId: string,
	vectors: TextVectors,
): RowTexts {
	const embedded: EmbeddedText[] = [];
	const failed: EntityField[] = [];
	for (const { field, hash, hashBytes, ready } of texts) {
		const passages =
			ready === undefined
				? vectors.get(hash)
				: [{ vector: ready, start: null, end: null }];
		if (passages === undefined) failed.push({ entityId, field });
		else embedded.push({ entityId, field, contentHash: hashBytes, passages });
	}
	const outdated = touched.filter(
		({ field }) =>
			storedId !== undefined && !embedded.some((text) => text.field === field),
	);
	const handled = new Set([...touched, ...texts].map(({ field }) => field));
	const toField = (field: string) => ({ entityId, field });
	return {
		rowLock: storedId === undefined ? "new" : isChanged ? "locked" : "wait",
		embedded,
		failed,
		left: left.map(toField),
		handled: [...handled].map(toField),
		outdated: outdated.map(({ field, hashBytes }) => ({
			entityId,
			field,
			contentHash: hashBytes,
		})),
	};
}

/**
 * Removes texts that have their vector from the queue. An empty queue, the usual
 * case, is found by a check first; not under row level security, where the check would
 * read all tenants' texts.
 */
export async function settleTexts(
	tx: Handle,
	table: EntityTable,
	texts: readonly EntityField[],
): Promise<void> {
	if (texts.length === 0) return;
	if (table.hasRowSecurity !== true) {
		const { rowCount } = await tx.query(anyQueuedSql(table));
		if (rowCount === 0) return;
	}
	await sendPipelined(tx, texts, {
		build: (slice) => settleTextsSql(table, slice),
	});
}

async function queue(
	tx: Handle,
	table: EntityTable,
	{ rows, space }: { rows: readonly RowTexts[]; space: VectorSpace },
): Promise<number> {
	let queued = 0;
	for (const { texts, onlyKnown } of [
		{ texts: rows.flatMap(({ failed }) => failed), onlyKnown: false },
		{ texts: rows.flatMap(({ left }) => left), onlyKnown: true },
	])
		await sendPipelined(tx, texts, {
			build: (slice) => queueTextsSql(table, slice, { space, onlyKnown }),
			onResult: ({ rowCount }) => {
				queued += rowCount;
			},
		});
	return queued;
}

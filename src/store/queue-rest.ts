import type { Handle } from "../db/database.ts";
import { sendInTurn } from "../db/in-turn.ts";
import type { EntityTable } from "../models/registry.ts";
import {
	anyQueuedSql,
	type EntityField,
	queueTextsSql,
	settleTextsSql,
} from "../vectors/queue-texts.ts";
import type { PlannedRow } from "./plan-rows.ts";
import type { Prepared } from "./prepare.ts";
import { holdOf } from "./write-texts.ts";

export interface BatchTexts {
	/** Those of the rows, in their order. */
	readonly ids: readonly string[];
	/** Texts of rows that the batch did not write, and gave their vectors. */
	readonly ofOpenRows: readonly EntityField[];
}

/**
 * The queue's part: what now has its vector, or no text, waits no longer; what
 * was left without one does. Returns how many were queued.
 */
export async function queueRest(
	tx: Handle,
	table: EntityTable,
	{ rows, space, vectors }: Prepared,
	{ ids, ofOpenRows }: BatchTexts,
): Promise<number> {
	if (space === undefined) return 0;
	const fields = (
		of: (row: PlannedRow) => readonly string[],
		chosen: (row: PlannedRow) => boolean = () => true,
	) =>
		rows.flatMap((row, index): EntityField[] =>
			chosen(row)
				? of(row).map((field) => ({ entityId: ids[index] as string, field }))
				: [],
		);
	// A new row was not in the queue. A row that is not locked may be another by
	// now, and its text wait anew.
	await settle(tx, table, [
		...fields(handledFields, (row) => holdOf(row) === "locked"),
		...ofOpenRows,
	]);
	let queued = 0;
	const failed = fields(({ texts }) =>
		texts
			.filter(({ hash, ready }) => ready === undefined && !vectors.has(hash))
			.map(({ field }) => field),
	);
	for (const { texts, onlyKnown } of [
		{ texts: failed, onlyKnown: false },
		{ texts: fields(({ left }) => left), onlyKnown: true },
	])
		await sendInTurn(
			tx,
			texts,
			(slice) => queueTextsSql(table, space, slice, onlyKnown),
			({ rowCount }) => {
				queued += rowCount;
			},
		);
	return queued;
}

/**
 * As a rule nothing waits, and that is asked first; not under row level security,
 * where the answer would be looked for among all tenants' texts.
 */
async function settle(
	tx: Handle,
	table: EntityTable,
	texts: readonly EntityField[],
): Promise<void> {
	if (texts.length === 0) return;
	if (table.hasRowSecurity !== true && !(await isQueued(tx, table))) return;
	await sendInTurn(
		tx,
		texts,
		(slice) => settleTextsSql(table, slice),
		() => {},
	);
}

async function isQueued(tx: Handle, table: EntityTable): Promise<boolean> {
	const { rows } = await tx.query(anyQueuedSql(table));
	return rows.length > 0;
}

/** Fields whose text is another now, or has got its vector. */
function handledFields({ touched, texts }: PlannedRow): string[] {
	return [...new Set([...touched, ...texts].map(({ field }) => field))];
}

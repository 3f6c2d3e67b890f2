import { sideBySide } from "../core/side-by-side.ts";
import type { Database, Handle } from "../db/database.ts";
import type { OrderTerm } from "../filters/order-by.ts";
import {
	asCursorProblem,
	decodeCursor,
	encodeCursor,
	type FoundRows,
	type PageRequest,
} from "../store/find-page.ts";
import {
	checkCount,
	countRows,
	type FindOptions,
	orderTerms,
	type Page,
	type PlacedRow,
	type Position,
	type RowSet,
	readPlaced,
} from "../store/find-rows.ts";
import { elementAt } from "../util/present.ts";
import { orderRows } from "./order-rows.ts";

/** The rows of a bucket, and the handle that reads them. */
interface BucketRows {
	readonly db: Handle;
	readonly of: RowSet;
}

/** The rows of all buckets that a call is about. */
export interface AllRows {
	readonly core: { readonly db: Database };
	/** The caller's transaction: one bucket is read after the other in it. */
	readonly transaction: Handle | undefined;
	readonly parts: readonly BucketRows[];
}

type Row = Record<string, unknown>;

/** `findRows` over all buckets. */
export async function findInBuckets(
	all: AllRows,
	{ orderBy = "id", limit, offset = 0, condition }: FindOptions,
): Promise<Row[]> {
	checkCount("limit", limit);
	checkCount("offset", offset);
	const terms = termsOf(all, orderBy);
	// The offset counts rows of all buckets: all rows of the result may be in one bucket.
	const each = limit === undefined ? undefined : limit + offset;
	const found = await readEach(all, { terms, limit: each, condition });
	const ordered = await orderRows(handleOf(all), terms, found);
	return ordered
		.slice(offset, limit === undefined ? undefined : offset + limit)
		.map(({ row }) => row);
}

/** `findPage` over all buckets: a cursor is a position in the order of all rows, in whichever bucket its row is. */
export async function findPageInBuckets(
	all: AllRows,
	{ orderBy = "id", limit, after: given }: PageRequest,
): Promise<FoundRows> {
	const terms = termsOf(all, orderBy);
	const after = given === undefined ? undefined : decodeCursor(given, terms);
	const found = await readEach(all, { terms, limit, after }).catch(
		(error: unknown) => {
			throw after === undefined ? error : asCursorProblem(error);
		},
	);
	const ordered = await orderRows(handleOf(all), terms, found);
	const page = ordered.slice(0, limit);
	const last = page.length < limit ? undefined : page.at(-1);
	return {
		rows: page.map(({ row }) => row),
		next: last && encodeCursor(last.position, terms),
	};
}

/** `countRows` over all buckets. */
export async function countInBuckets(all: AllRows): Promise<number> {
	const counts = await sideBySide(
		all.core,
		all.transaction,
		all.parts.map(
			({ db, of }) =>
				() =>
					countRows(db, of),
		),
	);
	return counts.reduce((sum, count) => sum + count, 0);
}

const pageRows = { all: 1000, min: 50 };

/** A bucket whose rows are read page by page. */
interface Source {
	readonly part: BucketRows;
	waiting: readonly PlacedRow[];
	after: Position | undefined;
	isAtEnd: boolean;
}

/**
 * `iterateRows` over all buckets: merges their pages. A row is returned once every
 * bucket that is not at its end has read a later one.
 */
export async function* iterateInBuckets(
	all: AllRows,
	orderBy: FindOptions["orderBy"] = "id",
): AsyncGenerator<Row> {
	const terms = termsOf(all, orderBy);
	const limit = Math.max(
		pageRows.min,
		Math.ceil(pageRows.all / all.parts.length),
	);
	const sources = all.parts.map(
		(part): Source => ({
			part,
			waiting: [],
			after: undefined,
			isAtEnd: false,
		}),
	);
	for (;;) {
		await fill(all, sources, { terms, limit });
		const marked = sources.map((source) =>
			source.waiting.map(({ position }) => ({ position, source })),
		);
		const order = await orderRows(handleOf(all), terms, marked);
		const taken = new Map<Source, number>();
		for (const { source } of order) {
			const at = taken.get(source) ?? 0;
			taken.set(source, at + 1);
			yield elementAt(source.waiting, at).row;
			if (at + 1 === source.waiting.length && !source.isAtEnd) break;
		}
		for (const [source, count] of taken)
			source.waiting = source.waiting.slice(count);
		const isOver = sources.every(
			({ isAtEnd, waiting }) => isAtEnd && waiting.length === 0,
		);
		if (isOver) return;
	}
}

/** Reads the next page of each bucket that has at most half a page left, several at the same time. */
async function fill(
	all: AllRows,
	sources: readonly Source[],
	page: { readonly terms: readonly OrderTerm[]; readonly limit: number },
): Promise<void> {
	const low = sources.filter(
		({ isAtEnd, waiting }) => !isAtEnd && waiting.length <= page.limit / 2,
	);
	await sideBySide(
		all.core,
		all.transaction,
		low.map((source) => async () => {
			const { part, after, waiting } = source;
			const rows = await readPlaced(part.db, part.of, { ...page, after });
			source.waiting = [...waiting, ...rows];
			source.isAtEnd = rows.length < page.limit;
			source.after = rows.at(-1)?.position ?? after;
		}),
	);
}

function readEach(all: AllRows, page: Page): Promise<PlacedRow[][]> {
	return sideBySide(
		all.core,
		all.transaction,
		all.parts.map(
			({ db, of }) =>
				() =>
					readPlaced(db, of, page),
		),
	);
}

function termsOf(
	{ parts }: AllRows,
	orderBy: NonNullable<FindOptions["orderBy"]>,
): OrderTerm[] {
	return orderTerms(elementAt(parts, 0).of, orderBy);
}

/** The handle for statements that read no table. */
function handleOf({ core, transaction }: AllRows): Handle {
	return transaction ?? core.db;
}

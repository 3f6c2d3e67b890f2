import type { Handle } from "../db/database.ts";
import { encodeArray } from "../db/encode.ts";
import type { OrderTerm } from "../filters/order-by.ts";
import { join, raw, sql } from "../sql.ts";
import type { PlacedRow, Position } from "../store/find-rows.ts";
import { elementAt } from "../util/present.ts";

type Compare = (a: Position, b: Position) => number;

/**
 * Merges rows of several buckets into one order. Ids, booleans and whole numbers are
 * compared here. The server orders texts (by the database's collation), times and
 * arrays: their values are sent to it, not the rows.
 */
export async function orderRows<Row extends Pick<PlacedRow, "position">>(
	db: Handle,
	terms: readonly OrderTerm[],
	parts: readonly (readonly Row[])[],
): Promise<readonly Row[]> {
	const filled = parts.filter(({ length }) => length > 0);
	const [only = [], ...more] = filled;
	if (more.length === 0) return only;
	const rows = filled.flat();
	const compare = comparison(terms);
	if (compare !== undefined)
		return rows.sort((a, b) => compare(a.position, b.position));
	const keys = terms.map(({ field: { type } }, at) => {
		const values = rows.map(({ position }) => position[at] ?? null);
		return { values: encodeArray("text", values), at, type };
	});
	const arrays = keys.map(({ values }) => sql`${values}::text[]`);
	const names = keys.map(({ at }) => raw(`k${at}`));
	const order = terms.map(
		({ field: { type }, descending }, at) =>
			sql`${raw(`k${at}::${type}${descending ? " DESC" : ""}`)}`,
	);
	const { rows: places } = await db.query<{ place: number }>(
		sql`SELECT place::int FROM unnest(${join(arrays)}) WITH ORDINALITY AS p (${join(names)}, place)
ORDER BY ${join(order)}`,
		{ idempotent: true },
	);
	return places.map(({ place }) => elementAt(rows, place - 1));
}

/** `undefined`: the server has to order the values. */
function comparison(terms: readonly OrderTerm[]): Compare | undefined {
	const compares = terms.map(({ field, descending }, at) => {
		const compare = ofTypes[field.type];
		return compare === undefined
			? undefined
			: { at, compare, sign: descending ? -1 : 1 };
	});
	if (compares.includes(undefined)) return undefined;
	return (a, b) => {
		for (const one of compares) {
			if (one === undefined) continue;
			const { at, compare, sign } = one;
			const order = nullsLast(a[at] ?? null, b[at] ?? null, compare);
			if (order !== 0) return order * sign;
		}
		return 0;
	};
}

type CompareTexts = (a: string, b: string) => number;

/** As PostgreSQL writes the values: ids in lower case, booleans as `false` and `true`. */
const ofTypes: Readonly<Record<string, CompareTexts>> = {
	uuid: byText,
	boolean: byText,
	bigint: (a, b) => {
		const difference = BigInt(a) - BigInt(b);
		return difference < 0n ? -1 : difference > 0n ? 1 : 0;
	},
};

function byText(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}

function nullsLast(
	a: string | null,
	b: string | null,
	compare: CompareTexts,
): number {
	if (a !== null && b !== null) return compare(a, b);
	return a === b ? 0 : a === null ? 1 : -1;
}

import type { ValidRow } from "../../models/validate.ts";

/** More would fill the memory; rows beyond are taken for different ones. */
const maxKnown = 5_000_000;

/**
 * Finds rows that are the same row of the database. The last of them counts:
 * were each written in its turn, loading the file again would change the row
 * and embed its texts every time.
 */
export class RowIdentities {
	/** Places in the file of rows that a later one replaces. */
	readonly replaced = new Set<number>();
	readonly #last = new Map<string, number>();

	add(row: ValidRow): void {
		const identity = identityOf(row);
		if (identity === undefined) return;
		const earlier = this.#last.get(identity);
		if (earlier !== undefined) this.replaced.add(earlier);
		else if (this.#last.size >= maxKnown) return;
		this.#last.set(identity, row.index);
	}
}

function identityOf({ id, key, tenantId, userId }: ValidRow) {
	if (id !== undefined) return `id ${id}`;
	return key === null ? undefined : `${tenantId}\0${userId ?? ""}\0${key}`;
}

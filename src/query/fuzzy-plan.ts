/** What of a query an entry must have in common with it to be compared. */
export interface Required {
	/** So many of the parts at least. */
	readonly count: number;
	/** Of texts that have so many, each has one of these: the parts that the fewest texts have. */
	readonly selective: readonly string[];
	/** About how many entries have so many of the parts. */
	readonly entries: number;
}

/** How much FUZZY may read. */
export interface Budget {
	/** Entries compared with the query. */
	readonly entries: number;
	/** Entries of the index read to find them. */
	readonly postings: number;
	/** Entries that an index may find where all parts are required and only some of the entries are compared. */
	readonly some: number;
}

/** What a sample of the entries has of the parts. */
export interface Sampled {
	readonly budget: Budget;
	/** Entries that one of the sample stands for. */
	readonly scale: number;
	having(part: string): Having;
}

/** Which entries of a sample have a part. */
export interface Having {
	/** Four entries in each number, a byte for each: 1 if it has the part, else 0. */
	readonly packed: Int32Array;
	/** Entries of the sample. */
	readonly size: number;
	/** Entries that have the part. */
	readonly count: number;
}

export const noEntries: Having = {
	packed: new Int32Array(0),
	size: 0,
	count: 0,
};

export function havingOf(
	texts: readonly string[],
	has: (text: string) => boolean,
): Having {
	const size = texts.length;
	const packed = new Int32Array(Math.ceil(size / 4));
	const entries = new Uint8Array(packed.buffer);
	let count = 0;
	for (let at = 0; at < size; at++) {
		if (!has(texts[at] as string)) continue;
		entries[at] = 1;
		count++;
	}
	return { packed, size, count };
}

/**
 * The least number of parts, `atLeast` or more, by which an index finds no more
 * than the budget. `undefined`: too many entries have all of them.
 */
export function requiredParts(
	parts: readonly string[],
	atLeast: number,
	{ budget, scale, having }: Sampled,
): Required | undefined {
	const found = parts.map((part) => having(part));
	const known = parts.map((part, at) => ({
		part,
		count: found[at]?.count ?? 0,
	}));
	const rarest = known.toSorted((a, b) => a.count - b.count);
	const withSoMany = countFrom(countInCommon(found), parts.length);
	for (let count = Math.max(1, atLeast); count <= parts.length; count++) {
		const selective = rarest.slice(0, parts.length - count + 1);
		const postings =
			selective.reduce((all, part) => all + part.count, 0) * scale;
		const entries = (withSoMany[count] ?? 0) * scale;
		const isWithin =
			count === parts.length
				? entries <= budget.some
				: entries <= budget.entries && postings <= budget.postings;
		if (isWithin)
			return { count, selective: selective.map(({ part }) => part), entries };
	}
	return undefined;
}

/** The most parts, `atLeast` or more, that this share of the texts has in common with the query. */
export function commonParts(
	parts: readonly string[],
	atLeast: number,
	{ share, having }: Pick<Sampled, "having"> & { readonly share: number },
): number {
	const inCommon = countInCommon(parts.map((part) => having(part)));
	const enough = Math.max(1, Math.ceil(share * inCommon.length));
	const count = countFrom(inCommon, parts.length).findLastIndex(
		(texts) => texts >= enough,
	);
	return Math.max(atLeast, count);
}

/** A byte counts no further. */
const maxInByte = 255;

/** For each entry, how many of the parts it has. */
export function countInCommon(found: readonly Having[]): Uint16Array {
	const { size, packed } = found[0] ?? noEntries;
	const { length } = packed;
	const inCommon = new Uint16Array(size);
	for (let from = 0; from < found.length; from += maxInByte) {
		// Four entries at a time.
		const sums = new Int32Array(length);
		for (const part of found.slice(from, from + maxInByte))
			for (let at = 0; at < length; at++)
				sums[at] = ((sums[at] ?? 0) + (part.packed[at] ?? 0)) | 0;
		const counts = new Uint8Array(sums.buffer);
		for (let at = 0; at < size; at++)
			inCommon[at] = (inCommon[at] ?? 0) + (counts[at] ?? 0);
	}
	return inCommon;
}

/** For each number of parts, how many entries have so many or more. */
function countFrom(inCommon: Uint16Array, parts: number): number[] {
	const entries = new Array<number>(parts + 1).fill(0);
	for (const count of inCommon) entries[count] = (entries[count] ?? 0) + 1;
	for (let count = parts - 1; count >= 0; count--)
		entries[count] = (entries[count] ?? 0) + (entries[count + 1] ?? 0);
	return entries;
}

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
	/** For each entry of the sample 1 if it has the part, else 0. */
	having(part: string): Uint8Array;
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
	const found = parts.map((part) => ({ part, texts: having(part) }));
	const known = found.map(({ part, texts }) => ({ part, count: sum(texts) }));
	const rarest = known.toSorted((a, b) => a.count - b.count);
	const withSoMany = countFrom(countInCommon(found.map(({ texts }) => texts)));
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
	const inCommon = countInCommon(parts.map(having));
	const enough = Math.max(1, Math.ceil(share * inCommon.length));
	const count = countFrom(inCommon).findLastIndex((texts) => texts >= enough);
	return Math.max(atLeast, count);
}

/** For each text, how many of the parts it has. */
function countInCommon(found: readonly Uint8Array[]): Uint16Array {
	const inCommon = new Uint16Array(found[0]?.length ?? 0);
	for (const texts of found)
		for (let at = 0; at < texts.length; at++)
			inCommon[at] = (inCommon[at] as number) + (texts[at] as number);
	return inCommon;
}

/** For each number of parts, how many texts have so many or more. */
function countFrom(inCommon: Uint16Array): number[] {
	const texts: number[] = [];
	for (const count of inCommon) while (texts.length <= count) texts.push(0);
	for (const count of inCommon) texts[count] = (texts[count] as number) + 1;
	for (let count = texts.length - 2; count >= 0; count--)
		texts[count] = (texts[count] as number) + (texts[count + 1] as number);
	return texts;
}

function sum(texts: Uint8Array): number {
	let count = 0;
	for (const has of texts) count += has;
	return count;
}

/** The hint for an unknown name: the nearest known one, else the list. */
export function suggest(
	name: string,
	known: readonly string[],
): string | undefined {
	const nearest = nearestName(name, known) ?? longerName(name, known);
	if (nearest !== undefined) return `did you mean "${nearest}"?`;
	return known.length === 0
		? undefined
		: `known: ${[...known].sort().join(", ")}`;
}

/** Comparing takes the product of the lengths: a longer name gets no suggestion. */
const longestName = 200;

/** A name in a message, which must not be as long as a name can be. */
export function quoted(name: unknown): string {
	// Not everything can be written as a text: an object may have no toString.
	const text = typeof name === "object" ? "[object]" : String(name);
	return text.length > longestName
		? `"${text.slice(0, longestName)}…"`
		: `"${text}"`;
}

/** The known name at most a third of its letters away, if there is one. */
function nearestName(
	name: string,
	known: readonly string[],
): string | undefined {
	if (name.length > longestName) return undefined;
	let best: { name: string; distance: number } | undefined;
	for (const candidate of known) {
		const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
		if (distance > Math.max(1, Math.floor(candidate.length / 3))) continue;
		if (best === undefined || distance < best.distance)
			best = { name: candidate, distance };
	}
	return best?.name;
}

const shortestBeginning = 3;

/** The only known name that begins with this one as its first words: `table` of `tableName`. */
function longerName(
	name: string,
	known: readonly string[],
): string | undefined {
	if (name.length < shortestBeginning) return undefined;
	const longer = known.filter(
		(candidate) =>
			candidate.startsWith(name) &&
			/^[A-Z_-]/.test(candidate.slice(name.length)),
	);
	return longer.length === 1 ? longer[0] : undefined;
}

/**
 * The fewest edits that make one text the other: a character more, less or another, or
 * two neighbours exchanged ("optimal string alignment"). Three rows of the matrix at a time.
 */
export function editDistance(a: string, b: string): number {
	let before: readonly number[] = [];
	let row = Array.from({ length: b.length + 1 }, (_, j) => j);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++) {
			const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
			const isExchanged =
				i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
			const exchanged = isExchanged ? (before[j - 2] ?? 0) + 1 : replaced;
			next.push(
				Math.min(
					replaced,
					exchanged,
					(row[j] ?? 0) + 1,
					(next[j - 1] ?? 0) + 1,
				),
			);
		}
		before = row;
		row = next;
	}
	return row[b.length] ?? 0;
}

/** Parts of a condition that must all be true: split at each AND that is outside parentheses and texts. */
export function filterParts(condition: string): string[] {
	const pieces =
		/'(?:[^']|'')*'|"(?:[^"]|"")*"|[\p{L}_][\p{L}\p{N}_]*|[\s\S]/gu;
	const parts: string[] = [];
	let depth = 0;
	let begin = 0;
	let isBetween = false;
	for (const { 0: piece, index } of condition.matchAll(pieces)) {
		if (piece === "(" || piece === "[") depth++;
		if (piece === ")" || piece === "]") depth--;
		if (depth > 0) continue;
		const word = piece.toUpperCase();
		// What it is part of can only be judged as a whole.
		if (word === "OR") return [condition.trim()];
		if (word === "BETWEEN") isBetween = true;
		if (word !== "AND") continue;
		if (!isBetween) {
			parts.push(condition.slice(begin, index).trim());
			begin = index + piece.length;
		}
		isBetween = false;
	}
	return [...parts, condition.slice(begin).trim()].filter(
		(part) => part !== "",
	);
}

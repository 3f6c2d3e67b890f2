/** The name with one or two slips of the pen: a letter left out, doubled, another one, or swapped with the next. */
export function misspell(name: string, random: () => number): string {
	const once = slip(name, random);
	return random() < 0.5 ? once : slip(once, random);
}

function slip(name: string, random: () => number): string {
	const letters = [...name];
	const at = Math.floor(random() * letters.length);
	const [letter = "", next = ""] = letters.slice(at, at + 2);
	const before = letters.slice(0, at).join("");
	const after = letters.slice(at + 1).join("");
	switch (Math.floor(random() * 4)) {
		case 0:
			return before + after;
		case 1:
			return before + letter + letter + after;
		case 2:
			return before + next + letter + after.slice(next.length);
		default:
			return before + anyLetter(random) + after;
	}
}

function anyLetter(random: () => number): string {
	return String.fromCharCode(97 + Math.floor(random() * 26));
}

// Several names in one parameter of the address. A name may be any text, such
// as the type of an edge: each is encoded, so that a comma in it does not part it.

export function namesOf(text: string | undefined): string[] {
	return (text ?? "")
		.split(",")
		.filter((part) => part !== "")
		.map(decoded);
}

export function textOfNames(names: Iterable<string>): string {
	return [...names].map(encodeURIComponent).join(",");
}

/** With a name in it, or without. */
export function toggled(names: readonly string[], name: string): string[] {
	return names.includes(name)
		? names.filter((other) => other !== name)
		: [...names, name];
}

/** A `%` that was typed into the address stays what it is. */
function decoded(part: string): string {
	try {
		return decodeURIComponent(part);
	} catch {
		return part;
	}
}

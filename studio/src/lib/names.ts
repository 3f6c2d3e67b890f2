// Several names in one parameter of the address. A name may be any text, such
// as the type of an edge: each is encoded, so that a comma in it does not split it.

export function namesOf(text: string | undefined): string[] {
	return (text ?? "")
		.split(",")
		.filter((part) => part !== "")
		.map(decoded);
}

export function textOfNames(names: Iterable<string>): string {
	return [...names].map(encodeURIComponent).join(",");
}

/** Adds the name, or removes it where it is in the list. */
export function toggled(names: readonly string[], name: string): string[] {
	return names.includes(name)
		? names.filter((other) => other !== name)
		: [...names, name];
}

/** A text that is not encoded, such as a typed `%`, is returned unchanged. */
function decoded(part: string): string {
	try {
		return decodeURIComponent(part);
	} catch {
		return part;
	}
}

import { hash } from "node:crypto";

const names = new Map<string, string>();

/**
 * A name for the statement by its text: a connection refuses two texts of one
 * name. Only for texts of which there are few, such as a read in its variants:
 * every connection stores the plan of each.
 */
export function statementName(kind: string, text: string): string {
	const known = names.get(text);
	if (known !== undefined) return known;
	const name = `rem_${kind}_${hash("sha256", text).slice(0, 16)}`;
	if (names.size >= rememberedNames) names.clear();
	names.set(text, name);
	return name;
}

const rememberedNames = 1000;

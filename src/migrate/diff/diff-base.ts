import { type BaseOptions, baseFiles } from "../../schema/base.ts";
import { baseNames } from "../base-names.ts";
import { compareRelation, noDependents } from "./compare-relation.ts";
import type { DiffSides } from "./diff-entity.ts";
import { type Difference, difference } from "./difference.ts";
import { SchemaText } from "./schema-text.ts";

/** The functions and tables that are there whatever the models. */
export function diffBase(base: BaseOptions, sides: DiffSides): Difference[] {
	const names = baseNames(base).relations;
	if (names.some((name) => !sides.live.relations.has(name)))
		return [baseIsMissing(names, base, sides)];
	const schemaText = new SchemaText(base.schema);
	return [
		...functions(sides, schemaText),
		...persistence(names, base, sides),
		...names.flatMap((name) => {
			const expected = sides.expected.relations.get(name);
			const live = sides.live.relations.get(name);
			if (expected === undefined || live === undefined) return [];
			return compareRelation(
				{ ...expected, persistence: live.persistence },
				live,
				{
					hasRows: sides.withRows.has(name),
					key: undefined,
					dependents: noDependents,
				},
				schemaText,
			);
		}),
	];
}

/** The files make whatever is not there yet. */
function baseIsMissing(
	names: readonly string[],
	base: BaseOptions,
	{ live }: DiffSides,
): Difference {
	const missing = names.filter((name) => !live.relations.has(name));
	return difference(
		"remdb",
		missing.length === names.length
			? "is not set up in this schema"
			: `lacks ${missing.join(", ")}`,
		baseFiles(base).map(({ text }) => text),
		{ blocks: true },
	);
}

/** The file that makes the cache also changes it from logged to unlogged and back, while others write. */
function persistence(
	names: readonly string[],
	base: BaseOptions,
	{ expected, live }: DiffSides,
): Difference[] {
	const isOther = names.some(
		(name) =>
			expected.relations.get(name)?.persistence !==
			live.relations.get(name)?.persistence,
	);
	if (!isOther) return [];
	return [
		difference(
			"kv_store",
			`is not ${base.kvPersistence}, as KV_STORE__PERSISTENCE wants it`,
			baseFiles(base).map(({ text }) => text),
		),
	];
}

function functions(
	{ expected, live }: DiffSides,
	schemaText: SchemaText,
): Difference[] {
	return [...expected.functions].flatMap(([signature, definition]) => {
		const now = live.functions.get(signature);
		if (now !== undefined && schemaText.isSame(now, definition)) return [];
		return difference(
			signature,
			now === undefined ? "function is missing" : "function is another one",
			[`${schemaText.placed(definition).trimEnd()};`],
		);
	});
}

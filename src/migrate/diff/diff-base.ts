import { type BaseOptions, baseFiles } from "../../schema/base.ts";
import { baseNames } from "../ownership.ts";
import { compareRelation } from "./compare-relation.ts";
import type { DiffSides } from "./diff-entity.ts";
import { type Difference, difference, tableDiff } from "./difference.ts";
import { SchemaText } from "./schema-text.ts";

/** The functions and tables that every database has, for all models. */
export function diffBase(base: BaseOptions, sides: DiffSides): Difference[] {
	const names = baseNames(base).relations;
	const { expected, live, withRows } = sides;
	const missing = names.filter((name) => !live.relations.has(name));
	// The files make whatever is not there yet.
	const statements = baseFiles(base).map(({ text }) => text);
	if (missing.length > 0)
		return [
			difference(
				"remdb",
				missing.length === names.length
					? "is not set up in this schema"
					: `lacks ${missing.join(", ")}`,
				{ statements, blocks: true },
			),
		];
	const schemaText = new SchemaText(base.schema);
	const isOther = names.some(
		(name) =>
			expected.relations.get(name)?.persistence !==
			live.relations.get(name)?.persistence,
	);
	// The file that makes the cache also changes it from logged to unlogged and back, while others write.
	const persistence = isOther
		? [
				difference(
					"kv_store",
					`is not ${base.kvPersistence}, as KV_STORE__PERSISTENCE requires`,
					{ statements },
				),
			]
		: [];
	return [
		...diffFunctions(sides, schemaText),
		...persistence,
		...names.flatMap((name) => {
			const should = expected.relations.get(name);
			const now = live.relations.get(name);
			if (should === undefined || now === undefined) return [];
			return compareRelation(
				tableDiff({
					expected: { ...should, persistence: now.persistence },
					live: now,
					hasRows: withRows.has(name),
					schemaText,
				}),
			);
		}),
	];
}

function diffFunctions(
	{ expected, live }: DiffSides,
	schemaText: SchemaText,
): Difference[] {
	return [...expected.functions].flatMap(([signature, definition]) => {
		const now = live.functions.get(signature);
		if (now !== undefined && schemaText.isSame(now, definition)) return [];
		return difference(
			signature,
			now === undefined ? "function is missing" : "function differs",
			{ statements: [`${schemaText.placed(definition).trimEnd()};`] },
		);
	});
}

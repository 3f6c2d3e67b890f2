import type { Trigger } from "../../db/catalogue/relations.ts";
import { type Difference, difference, type TableDiff } from "./difference.ts";
import { quoted, type SchemaText } from "./schema-text.ts";

/** Triggers and their functions against those that should be there. Those of other programs are ignored. */
export function compareTriggers({
	table,
	alter,
	expected,
	live,
	dependents,
	schemaText,
}: TableDiff): Difference[] {
	const elsewhere = dependents.triggers;
	const found = new Map(live.triggers.map((item) => [item.name, item]));
	const names = new Set(expected.triggers.map(({ name }) => name));
	return [
		...expected.triggers
			.filter(({ name }) => !elsewhere.has(name))
			.flatMap((trigger) => {
				const { name, enabled } = trigger;
				const message = triggerProblem(trigger, found.get(name), schemaText);
				if (message === undefined) return [];
				const always = enableAs[enabled];
				const statements = create(trigger, schemaText);
				if (always !== undefined)
					statements.push(`${alter} ENABLE ${always} TRIGGER ${quoted(name)};`);
				return difference(table, message, { statements });
			}),
		...live.triggers
			.filter(({ name }) => !names.has(name) && !elsewhere.has(name))
			.filter(({ name }) => name.startsWith(`trg_${table}_`))
			.map(({ name }) =>
				difference(table, `trigger ${quoted(name)} is not in the model`, {
					statements: [
						`DROP TRIGGER IF EXISTS ${quoted(name)} ON ${schemaText.name(table)};`,
					],
				}),
			),
	];
}

/** What is wrong with the trigger or its function, if anything is. */
export function triggerProblem(
	expected: Trigger,
	live: Trigger | undefined,
	schemaText: SchemaText,
): string | undefined {
	const name = `trigger ${quoted(expected.name)}`;
	if (live === undefined) return `${name} is missing`;
	if (live.enabled !== expected.enabled)
		return live.enabled === "D"
			? `${name} is disabled`
			: `${name} does not fire always`;
	if (!schemaText.isSame(live.definition, expected.definition))
		return `${name} differs`;
	return schemaText.isSame(live.functionDefinition, expected.functionDefinition)
		? undefined
		: `function ${quoted(expected.functionName)} differs`;
}

function create(
	{ definition, functionDefinition, functionName }: Trigger,
	schemaText: SchemaText,
): string[] {
	return [
		`${schemaText.placed(functionDefinition).trimEnd()};`,
		// Else any role could attach it to a table of its own.
		`REVOKE ALL ON FUNCTION ${schemaText.name(functionName)}() FROM PUBLIC;`,
		`${schemaText.placed(definition).replace(/^CREATE TRIGGER/, "CREATE OR REPLACE TRIGGER")};`,
	];
}

const enableAs: Readonly<Record<string, string>> = {
	A: "ALWAYS",
	R: "REPLICA",
};

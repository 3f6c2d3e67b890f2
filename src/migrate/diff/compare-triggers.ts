import type { Relation, Trigger } from "../../db/catalogue/relations.ts";
import { type Difference, difference } from "./difference.ts";
import { quoted, type SchemaText } from "./schema-text.ts";

/** Triggers and their functions against those that should be there. Those of other programs are ignored. */
export function compareTriggers(
	expected: Relation,
	live: Relation,
	elsewhere: ReadonlySet<string>,
	schemaText: SchemaText,
): Difference[] {
	const table = expected.name;
	const found = new Map(live.triggers.map((item) => [item.name, item]));
	const names = new Set(expected.triggers.map(({ name }) => name));
	return [
		...expected.triggers
			.filter(({ name }) => !elsewhere.has(name))
			.flatMap((trigger) => {
				const message = triggerProblem(
					trigger,
					found.get(trigger.name),
					schemaText,
				);
				return message === undefined
					? []
					: difference(table, message, make(table, trigger, schemaText));
			}),
		...live.triggers
			.filter(({ name }) => !names.has(name) && !elsewhere.has(name))
			.filter(({ name }) => name.startsWith(`trg_${table}_`))
			.map(({ name }) =>
				difference(table, `trigger ${quoted(name)} is not in the model`, [
					`DROP TRIGGER IF EXISTS ${quoted(name)} ON ${schemaText.name(table)};`,
				]),
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
		return `${name} is another one`;
	return schemaText.isSame(live.functionDefinition, expected.functionDefinition)
		? undefined
		: `function ${quoted(expected.functionName)} is another one`;
}

function make(
	table: string,
	trigger: Trigger,
	schemaText: SchemaText,
): string[] {
	const { name, definition, functionDefinition, functionName, enabled } =
		trigger;
	const always = enableAs[enabled];
	return [
		`${schemaText.placed(functionDefinition).trimEnd()};`,
		// Else any role could attach it to a table of its own.
		`REVOKE ALL ON FUNCTION ${schemaText.name(functionName)}() FROM PUBLIC;`,
		`${schemaText.placed(definition).replace(/^CREATE TRIGGER/, "CREATE OR REPLACE TRIGGER")};`,
		...(always === undefined
			? []
			: [
					`ALTER TABLE ${schemaText.name(table)} ENABLE ${always} TRIGGER ${quoted(name)};`,
				]),
	];
}

const enableAs: Readonly<Record<string, string>> = {
	A: "ALWAYS",
	R: "REPLICA",
};

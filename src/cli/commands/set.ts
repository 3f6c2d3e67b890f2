import type { Command } from "commander";
import { RemError } from "../../errors.ts";
import { jsonIn } from "../../models/column-types/jsonb.ts";
import type { Entity } from "../../models/entity.ts";
import { UsageError } from "../failure.ts";
import {
	cellProblem,
	fieldValue,
	isBrokenJson,
	isTextType,
} from "../load/field-value.ts";
import { withService } from "../open-service.ts";
import { addHelp, addScopeOptions, type ScopeOptions } from "../options.ts";
import { Terminal } from "../output/terminal.ts";
import { scopeOfRows, theRowNamed } from "../rows/named-rows.ts";
import { fieldNamed, jsonRow, rowLines } from "../rows/row-text.ts";

interface SetCommandOptions extends ScopeOptions {
	readonly table?: string;
	readonly embeddings: boolean;
}

/** `rem set KEY field=value…` */
export function addSet(program: Command): void {
	const command = program
		.command("set")
		.helpGroup("Rows:")
		.summary("change fields of a row")
		.description(
			'Changes the named fields of one row and leaves the others. A value is read as the field\'s type: a number, true, a time, [1, 2], JSON; null clears; "null" in quotes is the text. A text that changed is embedded again.',
		)
		.argument("<key>", "a key, table/key, or an id")
		.argument("<field=value...>", "fields, by name or column, and their values")
		.option("-t, --table <table>", "a row of this table")
		.option("--no-embeddings", "leave new texts to `rem embeddings sync`")
		.action(set);
	addHelp(
		addScopeOptions(command),
		[
			"rem set handbook category=manual",
			"rem set resources/handbook 'metadata={\"year\": 2026}' tags=a,b uri=null",
		],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__DEFAULT_TENANT"],
	);
}

async function set(
	name: string,
	assignments: readonly string[],
	options: SetCommandOptions,
): Promise<void> {
	const terminal = new Terminal(options);
	const given = assignments.map(readAssignment);
	const changed = await withService(terminal, options, async (service) => {
		const scope = scopeOfRows(service, options);
		const { entity, id } = await theRowNamed(scope, name, options.table);
		const row = await scope
			.repository(entity)
			.update(id, toPatch(entity, given), {
				generateEmbeddings: options.embeddings,
			});
		if (row === undefined)
			throw new RemError(
				"VALIDATION",
				`"${name}" was deleted by another writer`,
			);
		return { entity, id, row };
	});
	terminal.show(jsonRow(changed), rowLines(changed, terminal.width));
}

type Assignment = readonly [name: string, value: string];

function readAssignment(text: string): Assignment {
	const at = text.indexOf("=");
	if (at > 0) return [text.slice(0, at).trim(), text.slice(at + 1)];
	throw new UsageError(
		`"${text}" is not field=value\n(write it as category=manual, in quotes where the value has spaces)`,
	);
}

function toPatch(
	entity: Entity,
	assignments: readonly Assignment[],
): Record<string, unknown> {
	const patch: Record<string, unknown> = {};
	for (const [given, text] of assignments) {
		const name = fieldNamed(entity, given);
		if (Object.hasOwn(patch, name))
			throw new UsageError(`"${given}" is given twice`);
		patch[name] = typedValue(entity, name, text);
	}
	return patch;
}

/** The text as the field's type. What does not look like it is refused here, in words about the text. */
function typedValue(entity: Entity, name: string, text: string): unknown {
	if (text === "null") return null;
	const field = entity.fieldsByName.get(name);
	if (field === undefined) return text;
	if (field.type === "text") {
		const quoted = text.startsWith('"') ? jsonIn(text) : undefined;
		return typeof quoted === "string" ? quoted : text;
	}
	const value = fieldValue(text, { entity, field, isUntyped: true });
	const isUnread =
		text !== "" &&
		value === text &&
		!isTextType(field.type) &&
		field.type !== "jsonb";
	if (isUnread || isBrokenJson(field, text))
		throw new RemError("VALIDATION", `${name}: ${cellProblem(field, text)}`, {
			hint: "nothing was written",
			issues: [{ field: name, message: cellProblem(field, text) }],
		});
	return value;
}

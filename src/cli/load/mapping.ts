import { InvalidArgumentError } from "commander";
import { RemError } from "../../errors.ts";
import type { Entity } from "../../models/entity.ts";
import type { Field } from "../../models/field.ts";
import { writeJson } from "../../models/json-text.ts";
import { fieldOf } from "../../models/registry.ts";
import { membersOf } from "../../util/present.ts";
import { isRecord } from "./source.ts";

/** `--map field=source` as it was written. */
export interface MapOption {
	/** `metadata.year` → `["metadata", "year"]`. */
	readonly target: readonly string[];
	/** A property, a dotted path to one, or a template such as `{title} ({year})`. */
	readonly source: string;
}

/** The same for one model. */
export interface FieldMap {
	readonly field: Field;
	/** Where in the field's JSON; empty: the field itself. */
	readonly path: readonly string[];
	readonly source: string;
}

/** Reads one `--map`, after those before it. */
export function parseMap(
	text: string,
	earlier: readonly MapOption[] = [],
): MapOption[] {
	const at = text.indexOf("=");
	const target = text.slice(0, at).trim().split(".");
	const source = text.slice(at + 1).trim();
	if (at < 1 || source === "" || target.includes(""))
		throw new InvalidArgumentError("Expected field=source, as in name=title.");
	return [...earlier, { target, source }];
}

/** Finds the fields by their names or their columns' names. */
export function resolveMaps(
	entity: Entity,
	options: readonly MapOption[],
): FieldMap[] {
	return options.map(({ target, source }) => {
		const [name = "", ...path] = target;
		const field = findField(entity, name) ?? fieldOf(entity, name);
		if (path.length > 0 && field.type !== "jsonb")
			throw new RemError(
				"VALIDATION",
				`--map ${target.join(".")}=…: field "${field.name}" is ${field.type}, which has no parts`,
				{ hint: `map the field itself: --map ${name}=${source}` },
			);
		return { field, path, source };
	});
}

/** A field as TypeScript writes it, or as SQL does. */
export function findField(entity: Entity, name: string): Field | undefined {
	return (
		entity.fieldsByName.get(name) ??
		[...entity.fieldsByName.values()].find(({ column }) => column === name)
	);
}

/** The properties a source reads, as they may be named in a row. */
export function sourceNames(source: string): string[] {
	const paths = isTemplate(source)
		? [...source.matchAll(placeholder)].map(([, path = ""]) => path.trim())
		: [source];
	return paths.flatMap((path) => [path, path.split(".")[0] ?? path]);
}

/** The value a map takes from a row; `undefined` where the row has none. */
export function readSource(
	row: Readonly<Record<string, unknown>>,
	source: string,
): unknown {
	return isTemplate(source) ? fill(row, source) : readPath(row, source);
}

const placeholder = /\{([^{}]*)\}/g;

function isTemplate(source: string): boolean {
	return source.includes("{");
}

/** A template that lacks one of its parts gives nothing at all. */
function fill(
	row: Readonly<Record<string, unknown>>,
	template: string,
): string | undefined {
	let isWhole = true;
	const text = template.replace(placeholder, (_, path: string) => {
		const value = readPath(row, path.trim());
		if (value === undefined || value === null) isWhole = false;
		return asText(value);
	});
	return isWhole ? text : undefined;
}

function asText(value: unknown): string {
	if (Array.isArray(value)) return value.map(asText).join(", ");
	return isRecord(value) ? writeJson(value) : String(value);
}

/** A property of that very name, dots and all, or else the path. */
function readPath(
	row: Readonly<Record<string, unknown>>,
	path: string,
): unknown {
	if (Object.hasOwn(row, path)) return row[path];
	let value: unknown = row;
	for (const part of path.split(".")) {
		const members = membersOf(value);
		if (!Object.hasOwn(members, part)) return undefined;
		value = members[part];
	}
	return value;
}

import { createHash } from "node:crypto";
import type { Issue } from "../../errors.ts";
import type { Entity } from "../../models/entity.ts";
import type { Field } from "../../models/field.ts";
import { isJsonNumber, type JsonNumber } from "../../models/json-number.ts";
import { characters, limits } from "../../models/limits.ts";
import {
	cellProblem,
	fieldValue,
	isBrokenJson,
	isTextType,
} from "./field-value.ts";
import {
	type FieldMap,
	findField,
	type MapOption,
	readSource,
	resolveMaps,
	sourceNames,
} from "./mapping.ts";
import { isRecord } from "./source.ts";

export interface FieldProblem {
	readonly field: string;
	readonly message: string;
}

interface RowInProgress {
	readonly row: Map<string, unknown>;
	readonly problems: FieldProblem[];
}

/** A source row as a row of the model. */
export interface ShapedRow {
	readonly row: unknown;
	/** Properties that are not a field of the model and that no map takes. */
	readonly unknown: readonly string[];
	/** What is wrong with values of it, by field. */
	readonly problems: readonly FieldProblem[];
	/** Whether its key was longer than a key may be, and is shortened. */
	readonly isShortened: boolean;
}

/** Makes rows of a model from rows of a file, however its properties are named. */
export class RowShaper {
	readonly #entity: Entity;
	readonly #maps: readonly FieldMap[];
	readonly #isUntyped: boolean;
	/** Properties that a map takes, whole or a part of them. */
	readonly #taken: ReadonlySet<string>;
	/** Those that it takes whole, and that so do not fill a field of their own. */
	readonly #used: ReadonlySet<string>;
	/** Fields that a map fills. */
	readonly #mapped: ReadonlySet<string>;
	readonly #names = new Map<string, string | undefined>();

	constructor(entity: Entity, maps: readonly MapOption[], isUntyped: boolean) {
		this.#entity = entity;
		this.#maps = resolveMaps(entity, maps);
		this.#isUntyped = isUntyped;
		this.#taken = new Set(maps.flatMap(({ source }) => sourceNames(source)));
		this.#used = new Set(this.#maps.map(({ source }) => source));
		this.#mapped = new Set(
			this.#maps.flatMap(({ field, path }) =>
				path.length === 0 ? field.name : [],
			),
		);
	}

	/**
	 * Properties fill the fields they are named after, unless a map fills the
	 * field or takes the property. What is not an object stays as it is, for
	 * validation to refuse.
	 */
	shape(source: unknown): ShapedRow {
		if (!isRecord(source))
			return { row: source, unknown: [], problems: [], isShortened: false };
		const row = new Map<string, unknown>();
		const unknown: string[] = [];
		const problems: FieldProblem[] = [];
		const filledBy = new Map<string, string>();
		for (const [name, value] of Object.entries(source)) {
			const field = this.#fieldName(name);
			const part = field === undefined ? this.#partOf(name) : undefined;
			if (part !== undefined && !this.#taken.has(name))
				setPart(row, part, value);
			else if (field === undefined) {
				if (!this.#taken.has(name)) unknown.push(name);
			} else if (!this.#used.has(name) && !this.#mapped.has(field)) {
				const other = filledBy.get(field);
				if (other !== undefined)
					problems.push({
						field,
						message: `"${other}" and "${name}" are both this field`,
					});
				filledBy.set(field, name);
				row.set(field, this.#typed(field, value, problems));
			}
		}
		for (const map of this.#maps)
			this.#applyMap(map, source, { row, problems });
		const isShortened = shortenKey(this.#entity, row);
		return { row: Object.fromEntries(row), unknown, problems, isShortened };
	}

	#applyMap(
		{ field, path, source }: FieldMap,
		from: Readonly<Record<string, unknown>>,
		{ row, problems }: RowInProgress,
	): void {
		const value = readSource(from, source);
		if (value === undefined) return;
		if (path.length > 0) setPart(row, { field, path }, value);
		else row.set(field.name, this.#typed(field.name, value, problems));
	}

	/** The column `metadata.year` of a CSV is a part of a JSON field. */
	#partOf(
		property: string,
	): { readonly field: Field; readonly path: string[] } | undefined {
		if (!this.#isUntyped) return undefined;
		const [name = "", ...path] = property.split(".");
		const field = path.includes("") ? undefined : findField(this.#entity, name);
		return field?.type === "jsonb" && path.length > 0
			? { field, path }
			: undefined;
	}

	#typed(name: string, value: unknown, problems: FieldProblem[]): unknown {
		if (name === "vectors") return toVectors(value);
		const field = this.#entity.fieldsByName.get(name);
		if (field === undefined) return value;
		if (
			this.#isUntyped &&
			typeof value === "string" &&
			isBrokenJson(field, value)
		)
			problems.push({ field: name, message: cellProblem(field, value) });
		return fieldValue(value, {
			entity: this.#entity,
			field,
			isUntyped: this.#isUntyped,
		});
	}

	/** In the words of a file without types; else the message of validation. */
	explain(issue: Issue, row: unknown): Issue {
		const field = this.#entity.fieldsByName.get(issue.field ?? "");
		const value = isRecord(row) ? row[issue.field ?? ""] : undefined;
		return this.#isUntyped &&
			typeof value === "string" &&
			field !== undefined &&
			!isTextType(field.type)
			? { ...issue, message: cellProblem(field, value) }
			: issue;
	}

	#fieldName(property: string): string | undefined {
		if (property === "vectors") return property;
		if (!this.#names.has(property))
			this.#names.set(property, findField(this.#entity, property)?.name);
		return this.#names.get(property);
	}
}

/**
 * Real files have a title or two that cannot be meant as a name. Such a key is
 * cut, with a hash of the whole at its end, so that it is the same every time
 * and no two of them become one.
 */
function shortenKey(entity: Entity, row: Map<string, unknown>): boolean {
	const [field, ...others] = entity.keyFields ?? [];
	if (field?.type !== "text" || others.length > 0) return false;
	const key = row.get(field.name);
	if (typeof key !== "string" || characters(key) <= limits.keyLength)
		return false;
	const hash = createHash("sha256").update(key).digest("hex").slice(0, 8);
	const start = [...key].slice(0, limits.keyLength - hash.length - 1).join("");
	row.set(field.name, `${start}~${hash}`);
	return true;
}

function setPart(
	row: Map<string, unknown>,
	{ field, path }: Pick<FieldMap, "field" | "path">,
	value: unknown,
): void {
	row.set(field.name, withPart(row.get(field.name), path, value));
}

/** The JSON with one more part, whatever stood there; names as they are. */
function withPart(
	json: unknown,
	[name = "", ...rest]: readonly string[],
	value: unknown,
): Record<string, unknown> {
	const base = isRecord(json) ? json : {};
	return {
		...base,
		[name]:
			rest.length === 0
				? value
				: withPart(Object.hasOwn(base, name) ? base[name] : {}, rest, value),
	};
}

/** Ready vectors, in JSON lists of numbers. */
function toVectors(value: unknown): unknown {
	if (!isRecord(value)) return value;
	return Object.fromEntries(
		Object.entries(value).map(([name, vector]) => [
			name,
			isNumbers(vector) ? Float32Array.from(vector, Number) : vector,
		]),
	);
}

function isNumbers(value: unknown): value is (number | JsonNumber)[] {
	return (
		Array.isArray(value) &&
		value.every((item) => typeof item === "number" || isJsonNumber(item))
	);
}

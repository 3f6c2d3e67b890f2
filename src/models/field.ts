import * as z from "zod";
import { isObject, membersOf } from "../util/present.ts";
import { kindOf, type TypeDefinition } from "./column-types/definition.ts";
import {
	type ColumnType,
	isArrayType,
	type ScalarType,
	scalarTypeEntries,
} from "./column-types.ts";
import { toColumn } from "./names.ts";

/** What a zod schema means for a column. */
export interface Field {
	/** As TypeScript writes it: `sizeBytes`. */
	readonly name: string;
	/** As SQL writes it: `size_bytes`. */
	readonly column: string;
	readonly type: ColumnType;
	/** Whether the column takes NULL: every optional or nullable field does. */
	readonly nullable: boolean;
	/** The value of a row that has none, when it is the same for every row. */
	readonly defaultValue: unknown;
	/** Whether the text gets a vector. */
	readonly embed: boolean;
	/** Whether a bigint, rather than a number, is read. */
	readonly bigint: boolean;
}

/** Text fields of these names embed unless `.meta({ embed: false })` excludes them. */
export const defaultEmbedFields: ReadonlySet<string> = new Set([
	"content",
	"description",
	"summary",
	"text",
	"body",
	"message",
	"notes",
]);

/** The field, or the reason why there can be none. */
export function toField(
	name: string,
	schema: unknown,
): Field | { problem: string } {
	if (isZod3(schema)) return { problem: ofZod3 };
	if (!isZod4(schema)) return { problem: "is not a schema of zod" };
	try {
		return toKnownField(name, schema);
	} catch {
		// A schema of another version, or none, somewhere inside.
		return { problem: "contains something that is not a schema of zod 4" };
	}
}

export const ofZod3 =
	'is a schema of zod 3, expected zod 4: install zod 4, or import from "zod/v4"';

/** Whether the value is a schema of zod 3, which is unaware of zod 4. */
export function isZod3(value: unknown): boolean {
	const { _zod, _def } = membersOf(value);
	return _zod === undefined && typeof membersOf(_def).typeName === "string";
}

export function isZod4(value: unknown): value is z.core.$ZodType {
	return isObject(membersOf(membersOf(value)._zod).def);
}

/** The schema's definition, as one of the types that zod has. */
function definitionIn(schema: z.core.$ZodType) {
	return (schema as z.core.$ZodTypes)._zod.def;
}

function toKnownField(
	name: string,
	schema: z.core.$ZodType,
): Field | { problem: string } {
	const { inner, isOptional, defaultValue, embed } = unwrap(schema);
	const type = columnType(inner);
	if (type === undefined)
		return {
			problem:
				kindOf(inner) === "transform"
					? "what a transform returns is unknown: declare it with .pipe(z.string()) or the like"
					: `z.${kindOf(inner)}() has no column type`,
		};
	if (embed === true && type !== "text")
		return { problem: `embed is for text, this is ${type}` };
	if (defaultValue !== undefined && !takes(inner, defaultValue))
		return { problem: "its default is not a value of the field" };
	return {
		name,
		column: toColumn(name),
		type,
		nullable: isOptional || takesNull(schema),
		defaultValue,
		embed: type === "text" && (embed ?? defaultEmbedFields.has(name)),
		bigint: isBigint(inner),
	};
}

interface Unwrapped {
	readonly inner: z.core.$ZodType;
	/** Whether it may be absent, with nothing in its place. */
	readonly isOptional: boolean;
	readonly defaultValue: unknown;
	readonly embed: boolean | undefined;
}

const maxLayers = 100;

/** Looks through optional(), nullable(), default(), readonly() … to what is inside. */
function unwrap(outer: z.core.$ZodType): Unwrapped {
	let inner = outer;
	let isOptional: boolean | undefined; // the outermost word counts
	let hasDefault = false;
	let defaultValue: unknown;
	let embed: boolean | undefined;
	for (let layers = 0; ; layers++) {
		// A lazy schema may lead back to itself.
		if (layers > maxLayers) throw new RangeError("the schema has no end");
		embed ??= embedMeta(inner);
		const def = definitionIn(inner);
		switch (def.type) {
			case "optional":
				isOptional ??= true;
				break;
			case "nonoptional":
				isOptional ??= false;
				break;
			case "default":
				if (!hasDefault) defaultValue = constant(def);
				hasDefault = true;
				break;
			case "prefault":
				// What comes out of it is not known: the table has no default.
				hasDefault = true;
				break;
			case "nullable":
			case "catch":
			case "readonly":
				break;
			case "lazy":
				inner = def.getter();
				continue;
			case "pipe":
				// What is stored is what comes out.
				inner = def.out;
				continue;
			default:
				return {
					inner,
					isOptional: isOptional === true && !hasDefault,
					defaultValue,
					embed,
				};
		}
		inner = def.innerType;
	}
}

/** Whether zod lets null through, in whatever way the schema allows it. */
function takesNull(schema: z.core.$ZodType): boolean {
	try {
		const result = z.safeParse(schema, null);
		return result.success && result.data === null;
	} catch {
		return false; // asynchronous, or code that null is too much for
	}
}

/** zod itself does not ask whether a default is valid. */
function takes(schema: z.core.$ZodType, value: unknown): boolean {
	if (value === null) return true;
	try {
		return z.safeParse(schema, value).success;
	} catch {
		return true; // asynchronous: known only for a row
	}
}

function isBigint(schema: z.core.$ZodType): boolean {
	const def = definitionIn(schema);
	if (def.type === "array") return isBigint(def.element);
	if (def.type === "literal")
		return def.values.every((value) => typeof value === "bigint");
	return def.type === "bigint";
}

function embedMeta(schema: z.core.$ZodType): boolean | undefined {
	const embed = z.globalRegistry.get(schema)?.embed;
	return typeof embed === "boolean" ? embed : undefined;
}

/** A default that is computed for each row cannot be a default of the table. */
function constant(def: { readonly defaultValue: unknown }): unknown {
	const [once, again] = [def.defaultValue, def.defaultValue];
	if (once instanceof Date) return undefined;
	if (typeof once === "bigint") return once === again ? once : undefined;
	return JSON.stringify(once) === JSON.stringify(again) ? once : undefined;
}

function columnType(schema: z.core.$ZodType): ColumnType | undefined {
	const def = definitionIn(schema);
	switch (def.type) {
		case "enum":
		case "literal":
			return literalType([...(schema._zod.values ?? [])]);
		case "array":
			return arrayType(def.element);
		case "union":
			return unionType(def.options);
		default:
			return firstType((type) => type.isDescribedBy(schema));
	}
}

function literalType(all: readonly unknown[]): ScalarType | undefined {
	const values = all.filter((value) => value !== null);
	return firstType((type) => type.isTypeOf?.(values) === true);
}

function firstType(
	matches: (type: TypeDefinition) => boolean,
): ScalarType | undefined {
	return scalarTypeEntries.find(([, type]) => matches(type))?.[0];
}

/** A list of lists, of objects, or of values that may be null is JSON. */
function arrayType(element: z.core.$ZodType): ColumnType {
	const type = columnType(element);
	return type === undefined || type === "jsonb" || isArrayType(type)
		? "jsonb"
		: `${type}[]`;
}

function unionType(options: readonly z.core.$ZodType[]): ColumnType {
	const types = new Set(
		options
			.map((option) => unwrap(option).inner)
			.filter((option) => kindOf(option) !== "null")
			.map(columnType),
	);
	const [only] = types;
	return types.size === 1 && only !== undefined ? only : "jsonb";
}

import * as z from "zod";
import type { JsonSchema } from "./column-types/definition.ts";
import { scalarTypeEntries } from "./column-types.ts";
import { defineEntity, type Entity, systemFields } from "./entity.ts";
import { isPlainName, toColumn } from "./names.ts";

/**
 * The model that a JSON Schema describes, as `model_json_schema()` of Pydantic
 * writes it. `json_schema_extra` gives what JSON Schema has no word for: at a
 * field `embed` and `entity_key`, at the model `table_name`, `entity_key_field`,
 * `tenant_scoped`, `create_embeddings` and `create_kv_trigger`.
 */
export function entityFromJsonSchema(schema: unknown): Entity {
	if (!isSchema(schema) || schema.properties === undefined)
		throw new TypeError(
			"is not a JSON Schema of a model: it has no properties",
		);
	const { properties, required = [] } = schema;
	const columns = new Set<string>(systemFields.map(({ column }) => column));
	const own = Object.entries(properties).filter(
		([name]) => !columns.has(toColumn(name)),
	);
	const shape = Object.fromEntries(
		own.map(([name, property]) => [
			fieldName(name),
			toZod(property, schema, required.includes(name)),
		]),
	);
	const key = keyOf(schema, own);
	return defineEntity(tableNameOf(schema), shape, {
		...(key === undefined ? {} : { entityKeyField: key }),
		tenantScoped: flag(schema, "tenant_scoped") ?? true,
		createEmbeddings: flag(schema, "create_embeddings") ?? true,
		...choice(flag(schema, "create_kv_trigger")),
	});
}

function choice(createKvTrigger: boolean | undefined) {
	return createKvTrigger === undefined ? {} : { createKvTrigger };
}

/** `size_bytes` → `sizeBytes`, where that leads back to the same column. */
function fieldName(name: string): string {
	const camel = name.replace(/(?<=[a-z0-9])_([a-z])/g, (_, letter: string) =>
		letter.toUpperCase(),
	);
	return isPlainName(name) && toColumn(camel) === name ? camel : name;
}

/** `table_name`, else the title in the plural: `ImageResource` → `image_resources`. */
function tableNameOf(schema: JsonSchema): string {
	const { table_name: given, title } = schema;
	if (typeof given === "string") return given;
	const name = toColumn((title ?? "").replace(/\s+/g, ""));
	if (/[^aeiou]y$/.test(name)) return `${name.slice(0, -1)}ies`;
	return /(?:s|x|ch|sh)$/.test(name) ? `${name}es` : `${name}s`;
}

function keyOf(
	schema: JsonSchema,
	own: readonly (readonly [string, JsonSchema])[],
): string | readonly string[] | null | undefined {
	const { entity_key_field: given } = schema;
	if (given === null) return null;
	if (typeof given === "string") return fieldName(given);
	if (Array.isArray(given)) return given.map((name) => fieldName(String(name)));
	const marked = own.filter(([, property]) => property.entity_key === true);
	if (marked.length > 0) return marked.map(([name]) => fieldName(name));
	return own.some(([name]) => name === "name") ? "name" : undefined;
}

function flag(schema: JsonSchema, name: string): boolean | undefined {
	const value = schema[name];
	return typeof value === "boolean" ? value : undefined;
}

function toZod(
	property: JsonSchema,
	root: JsonSchema,
	isRequired: boolean,
): z.ZodType {
	const inner = typeOf(property, root, 0);
	const named =
		property.embed === undefined
			? inner
			: inner.meta({ embed: property.embed });
	const { default: value } = property;
	if (value !== undefined && value !== null)
		return named.default(defaultOf(value, inner));
	return isRequired ? named : named.optional();
}

/** JSON has no dates: what is one is read as one. */
function defaultOf(value: unknown, schema: z.ZodType): unknown {
	const isDate =
		typeof value === "string" && z.safeParse(schema, new Date(value)).success;
	return isDate && !z.safeParse(schema, value).success
		? new Date(value)
		: value;
}

const maxDepth = 20;

function typeOf(
	schema: JsonSchema,
	root: JsonSchema,
	depth: number,
): z.ZodType {
	if (depth > maxDepth) return z.unknown();
	const resolved = resolve(schema, root);
	const parts = resolved.anyOf ?? resolved.oneOf;
	if (parts !== undefined) return union(parts, root, depth);
	const [only] = resolved.allOf ?? [];
	if (only !== undefined && resolved.allOf?.length === 1)
		return typeOf(only, root, depth + 1);
	if (resolved.enum !== undefined) return literals(resolved.enum);
	if ("const" in resolved) return literals([resolved.const]);
	const types = [resolved.type ?? []].flat();
	if (types.length > 1)
		return union(
			types.map((type) => ({ ...resolved, type })),
			root,
			depth,
		);
	return scalar(resolved, root, depth);
}

function union(
	parts: readonly JsonSchema[],
	root: JsonSchema,
	depth: number,
): z.ZodType {
	const values = parts.filter(({ type }) => type !== "null");
	const types = values.map((part) => typeOf(part, root, depth + 1));
	const [first, ...rest] = types;
	const type =
		first === undefined || rest.length === 0
			? (first ?? z.unknown())
			: z.union([first, ...rest]);
	return values.length < parts.length ? type.nullable() : type;
}

function literals(values: readonly unknown[]): z.ZodType {
	const known = values.filter(
		(value): value is string | number | boolean | null =>
			value === null || ["string", "number", "boolean"].includes(typeof value),
	);
	return known.length === values.length && known.length > 0
		? z.literal(known)
		: z.unknown();
}

function scalar(
	schema: JsonSchema,
	root: JsonSchema,
	depth: number,
): z.ZodType {
	if (schema.type === "array")
		return z.array(
			schema.items === undefined
				? z.unknown()
				: typeOf(schema.items, root, depth + 1),
		);
	for (const [, type] of scalarTypeEntries) {
		const zod = type.fromJsonSchema?.(schema);
		if (zod !== undefined) return zod;
	}
	return z.unknown();
}

/** `#/$defs/Tier` of the same file; what is beside the reference stays. */
function resolve(schema: JsonSchema, root: JsonSchema): JsonSchema {
	const { $ref, ...beside } = schema;
	if ($ref === undefined) return schema;
	const [, name] = /^#\/(?:\$defs|definitions)\/(.+)$/.exec($ref) ?? [];
	const defs = root.$defs ?? root.definitions;
	const target = name === undefined ? undefined : defs?.[name];
	if (target === undefined)
		throw new TypeError(`refers to ${$ref}, which is not in the file`);
	return resolve({ ...target, ...beside }, root);
}

function isSchema(value: unknown): value is JsonSchema {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

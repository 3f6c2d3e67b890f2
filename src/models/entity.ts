import type * as z from "zod";
import { type Issue, reading } from "../errors.ts";
import { membersOf } from "../util/present.ts";
import { quoted, suggest } from "../util/suggest.ts";
import {
	anyText,
	type Check,
	flag,
	isRecord,
	listOf,
	typeName,
} from "./checks.ts";
import { kindOf } from "./column-types/definition.ts";
import { type ColumnType, definitionOf, isArrayType } from "./column-types.ts";
import { type Field, isZod3, isZod4, ofZod3, toField } from "./field.ts";
import { valueProblem } from "./limits.ts";
import {
	embeddingsTableName,
	isPlainName,
	toColumn,
	wordsTableName,
} from "./names.ts";
import { namesIn } from "./options.ts";

export type Shape = Readonly<Record<string, z.core.$ZodType>>;

export interface EntityOptions<S extends Shape = Shape> {
	/**
	 * The natural key: a field, several (`["uri", "ordinal"]`, found as
	 * `uri#ordinal`), or `null` for none and no cache entry. @default null
	 */
	readonly entityKeyField?:
		| (keyof S & string)
		| readonly (keyof S & string)[]
		| null;
	/** Whether rows belong to a tenant; if not, every tenant reads them. @default true */
	readonly tenantScoped?: boolean;
	/** Whether there is a table of vectors. @default true */
	readonly createEmbeddings?: boolean;
	/** Whether kv_store is maintained for LOOKUP and FUZZY. @default true, when there is a natural key */
	readonly createKvTrigger?: boolean;
	/** B-tree indexes besides ours; the tenant is put first. @default [] */
	readonly indexes?: readonly (readonly (
		| (keyof S & string)
		| SystemFieldName
	)[])[];
	/** Unique constraints within a tenant, on live rows. @default [] */
	readonly unique?: readonly (readonly (
		| (keyof S & string)
		| SystemFieldName
	)[])[];
}

/** A model: its table, its zod fields, and what follows from them. */
export interface Entity<Name extends string = string, S extends Shape = Shape> {
	readonly tableName: Name;
	readonly embeddingsTableName: string;
	readonly wordsTableName: string;
	readonly shape: S;
	/** Refinements of a `z.object`, which look at the whole row. */
	readonly refinements: readonly z.core.$ZodCheck[];
	/** The model's own fields, in the order they were written. */
	readonly fields: readonly Field[];
	/** The same and the system's, by name. */
	readonly fieldsByName: ReadonlyMap<string, Field>;
	/** Those whose text gets a vector. */
	readonly embedFields: readonly Field[];
	/** Fields of the natural key; `null`: the entity has none. */
	readonly keyFields: readonly Field[] | null;
	readonly tenantScoped: boolean;
	readonly createEmbeddings: boolean;
	readonly createKvTrigger: boolean;
	readonly indexes: readonly (readonly Field[])[];
	readonly unique: readonly (readonly Field[])[];
	/** What is wrong with the definition; registering it throws them all. */
	readonly problems: readonly Issue[];
}

type SystemFieldName = (typeof systemFields)[number]["name"];

/**
 * Defines a model: of fields, or of a `z.object`. It does nothing yet: give it to
 * `PostgresService.connect`, `service.register` or `registerType`. They report
 * every mistake in it at once. Without an `entityKeyField` rows have no natural
 * key: each upsert without an id inserts, and LOOKUP does not find them.
 *
 * @example
 * const Document = defineEntity("documents", {
 *   name: z.string(),
 *   content: z.string(),                                  // embeds by default
 *   notes: z.string().optional().meta({ embed: false }),  // never does
 * }, { entityKeyField: "name" })
 */
export function defineEntity<const Name extends string, const S extends Shape>(
	tableName: Name,
	fields: z.core.$ZodObject<S>,
	options?: EntityOptions<S>,
): Entity<Name, S>;
export function defineEntity<const Name extends string, const S extends Shape>(
	tableName: Name,
	fields: S,
	options?: EntityOptions<S>,
): Entity<Name, S>;
export function defineEntity(
	tableName: string,
	given: Shape | z.core.$ZodObject,
	options: EntityOptions = {},
): Entity {
	return reading("defineEntity", () => {
		const problems: Issue[] = [];
		return toEntity({
			...toShape(given, problems),
			tableName: checkTableName(tableName, problems),
			options: checkOptions(options, problems),
			problems,
		});
	});
}

function toEntity({
	tableName,
	shape,
	refinements,
	options,
	problems,
}: Pick<Entity, "tableName" | "shape" | "refinements"> & {
	readonly options: EntityOptions;
	readonly problems: Issue[];
}): Entity {
	const fields = toFields(shape, problems);
	const tenantScoped = options.tenantScoped ?? true;
	const fieldsByName = new Map(
		[...systemFields, ...fields]
			.filter((field) => tenantScoped || field.name !== "tenantId")
			.map((field) => [field.name, field]),
	);
	const resolve = (names: readonly string[], use: string) =>
		names.flatMap((name) => {
			const field = fieldsByName.get(name);
			if (field === undefined)
				problems.push({ field: name, message: `${use} is not in the model` });
			return field ?? [];
		});
	const keyFields = toKeyFields(options.entityKeyField, resolve, problems);
	const entity: Entity = {
		tableName,
		embeddingsTableName: embeddingsTableName(tableName),
		wordsTableName: wordsTableName(tableName),
		shape,
		refinements,
		fields,
		fieldsByName,
		embedFields:
			(options.createEmbeddings ?? true)
				? fields.filter((field) => field.embed)
				: [],
		keyFields,
		tenantScoped,
		createEmbeddings: options.createEmbeddings ?? true,
		createKvTrigger: keyFields !== null && (options.createKvTrigger ?? true),
		indexes: (options.indexes ?? []).map((names) => resolve(names, "index")),
		unique: (options.unique ?? []).map((names) => resolve(names, "unique")),
		problems,
	};
	if (options.createKvTrigger === true && keyFields === null)
		problems.push({
			message: "createKvTrigger needs an entityKeyField",
		});
	return entity;
}

/** Whether `defineEntity` has made it. */
export function isEntity(value: unknown): value is Entity {
	const { tableName, fields, fieldsByName, problems } = membersOf(value);
	return (
		typeof tableName === "string" &&
		Array.isArray(fields) &&
		typeof membersOf(fieldsByName).get === "function" &&
		Array.isArray(problems)
	);
}

/** A model, as an argument. */
export const model: Check = (value) =>
	isEntity(value)
		? undefined
		: `must be a model that defineEntity returns, not ${typeName(value)}`;

/** The fields, and what looks at the whole row. */
function toShape(
	given: unknown,
	problems: Issue[],
): { shape: Shape; refinements: readonly z.core.$ZodCheck[] } {
	if (isObjectSchema(given)) {
		const { shape, checks = [] } = given._zod.def;
		return { shape, refinements: checks };
	}
	const problem = shapeProblem(given);
	if (problem === undefined) return { shape: given as Shape, refinements: [] };
	problems.push({ message: problem });
	return { shape: {}, refinements: [] };
}

function isObjectSchema(given: unknown): given is z.core.$ZodObject {
	return isZod4(given) && kindOf(given) === "object";
}

function shapeProblem(given: unknown): string | undefined {
	const expected = "expected fields such as { name: z.string() }, or z.object";
	if (isZod4(given))
		return `the second argument is another schema: ${expected}`;
	if (isZod3(given)) return `the second argument ${ofZod3}`;
	return isReadable(given)
		? undefined
		: `the second argument is ${typeName(given)}: ${expected}`;
}

const optionChecks: Readonly<Record<string, Check>> = {
	entityKeyField: (value) =>
		value === null || typeof value === "string" || isNames(value)
			? undefined
			: "must be the name of a field, an array of names, or null",
	tenantScoped: flag,
	createEmbeddings: flag,
	createKvTrigger: flag,
	indexes: listsOfNames,
	unique: listsOfNames,
} satisfies Record<keyof EntityOptions, Check>;

/** The options that can be used; what is wrong with the others is added to the problems. */
function checkOptions(given: unknown, problems: Issue[]): EntityOptions {
	if (!isReadable(given)) {
		problems.push({
			message: `the options must be an object, not ${typeName(given)}: { entityKeyField: "name" }`,
		});
		return {};
	}
	const taken: Record<string, unknown> = {};
	for (const name of namesIn(given)) {
		if (typeof name === "symbol") {
			problems.push({ message: `unknown option ${quoted(name)}` });
			continue;
		}
		const value = given[name];
		const check = Object.hasOwn(optionChecks, name)
			? optionChecks[name]
			: undefined;
		const problem =
			check === undefined
				? `unknown option ${quoted(name)}, ${suggest(name, Object.keys(optionChecks))}`
				: value !== undefined && problemOf(check, value);
		if (typeof problem !== "string") taken[name] = value;
		else
			problems.push({
				message: check === undefined ? problem : `${name} ${problem}`,
			});
	}
	return taken as EntityOptions;
}

function problemOf(check: Check, value: unknown): string | undefined {
	try {
		return check(value);
	} catch {
		return "cannot be read: a proxy or getter within throws";
	}
}

/** An object whose getters do not throw. */
function isReadable(
	given: unknown,
): given is Readonly<Record<string, unknown>> {
	try {
		return isRecord(given) && Object.values(given).length >= 0;
	} catch {
		return false;
	}
}

function isNames(value: unknown): boolean {
	return listOf(anyText)(value) === undefined;
}

function listsOfNames(value: unknown): string | undefined {
	const names: Check = (item) =>
		isNames(item) ? undefined : "is not a list of names";
	return listOf(names)(value) === undefined
		? undefined
		: 'must be an array of arrays of field names, such as [["year"]]';
}

/** The options of a model that may be changed. */
export type EntityChoices = Pick<
	EntityOptions,
	"tenantScoped" | "createEmbeddings" | "createKvTrigger"
> & {
	readonly tableName?: string;
	readonly entityKeyField?: string | readonly string[] | null;
};

/** The same model with other options; the model itself where there are none. */
export function withOptions(model: Entity, choices: EntityChoices): Entity {
	const { tableName, entityKeyField, createKvTrigger } = choices;
	const isSame = [
		tableName,
		entityKeyField,
		choices.tenantScoped,
		choices.createEmbeddings,
		createKvTrigger,
	].every((choice) => choice === undefined);
	if (isSame) return model;
	const names = (fields: readonly Field[]) => fields.map(({ name }) => name);
	const keyFields =
		entityKeyField === undefined
			? model.keyFields && names(model.keyFields)
			: entityKeyField;
	const problems: Issue[] = [];
	return toEntity({
		tableName: checkTableName(tableName ?? model.tableName, problems),
		shape: model.shape,
		refinements: model.refinements,
		options: {
			entityKeyField: keyFields,
			tenantScoped: choices.tenantScoped ?? model.tenantScoped,
			createEmbeddings: choices.createEmbeddings ?? model.createEmbeddings,
			createKvTrigger:
				createKvTrigger ?? (keyFields !== null && hasCache(model)),
			indexes: model.indexes.map(names),
			unique: model.unique.map(names),
		},
		problems,
	});
}

/** A model without a key has no cache, and wants one as soon as it has a key. */
function hasCache({ keyFields, createKvTrigger }: Entity): boolean {
	return keyFields === null || createKvTrigger;
}

const system = <const Name extends string>(
	name: Name,
	type: ColumnType,
	rest: Partial<Field> = {},
) => ({
	nullable: false,
	defaultValue: undefined,
	...rest,
	name,
	column: toColumn(name),
	type,
	embed: false,
	bigint: false,
});

/** Columns that every entity has, before its own. */
export const systemFields = [
	system("id", "uuid"),
	system("tenantId", "text"),
	system("userId", "text", { nullable: true }),
	system("graphEdges", "jsonb", { defaultValue: [] }),
	system("metadata", "jsonb", { defaultValue: {} }),
	system("tags", "text[]", { defaultValue: [] }),
	system("createdAt", "timestamptz"),
	system("updatedAt", "timestamptz"),
	system("deletedAt", "timestamptz", { nullable: true }),
] as const satisfies readonly Field[];

function toFields(shape: Shape, problems: Issue[]): Field[] {
	const columns = new Map<string, string>(
		systemFields.map((field) => [field.column, field.name]),
	);
	return Object.entries(shape).flatMap(([name, schema]) => {
		const field = toField(name, schema);
		if ("problem" in field) {
			problems.push({ field: name, message: field.problem });
			return [];
		}
		const problem = columnProblem(field, columns);
		if (problem !== undefined) {
			problems.push({ field: name, message: problem });
			return [];
		}
		columns.set(field.column, name);
		return field;
	});
}

function columnProblem(
	field: Field,
	columns: ReadonlyMap<string, string>,
): string | undefined {
	if (field.name === "vectors")
		return '"vectors" is where ready vectors are given';
	if (field.name in Object.prototype)
		return "every JavaScript object has a member of this name";
	if (!isPlainName(field.column))
		return `"${field.column}" is not a column name: letters, digits and _, at most 63`;
	if (field.column.startsWith("rem_"))
		return 'names that begin with "rem_" are reserved for remdb';
	const other = columns.get(field.column);
	if (other !== undefined)
		return systemFields.some(({ name }) => name === other)
			? `every entity has the field "${other}" already: leave it out, or name it otherwise`
			: `its column "${field.column}" is that of the field "${other}", too: name it otherwise`;
	const { type, defaultValue } = field;
	const problem =
		isArrayType(type) && Array.isArray(defaultValue)
			? defaultValue.map((item) => valueProblem(item)).find(Boolean)
			: valueProblem(defaultValue);
	return problem && `its default ${problem.message}`;
}

function toKeyFields(
	key: EntityOptions["entityKeyField"],
	resolve: (names: readonly string[], use: string) => Field[],
	problems: Issue[],
): readonly Field[] | null {
	if (key === null || key === undefined) return null;
	if (key.length === 0)
		problems.push({ message: "entityKeyField names no field" });
	const fields = resolve(typeof key === "string" ? [key] : key, "key");
	for (const field of fields)
		if (isArrayType(field.type) || !definitionOf(field.type).isKey)
			problems.push({
				field: field.name,
				message: `a key is text, a uuid, a whole number or a boolean, not ${field.type}`,
			});
	return fields.length === 0 ? null : fields;
}

function checkTableName(tableName: unknown, problems: Issue[]): string {
	if (typeof tableName !== "string") {
		problems.push({
			message: `the table name must be a string, not ${typeName(tableName)}`,
		});
		return "";
	}
	if (!isPlainName(tableName))
		problems.push({
			message: `"${tableName}" is not a table name: lower-case letters, digits and _, at most 63`,
		});
	else if (
		tableName.startsWith("rem_") ||
		tableName.startsWith("embeddings_") ||
		tableName.startsWith("kv_source_") ||
		tableName === "kv_store" ||
		tableName === "kv_state"
	)
		problems.push({
			message: `table name "${tableName}" is reserved for tables of remdb`,
		});
	return tableName;
}

import * as z from "zod";
import { type Issue, maxIssues, RemError } from "../errors.ts";
import { isObject } from "../util/present.ts";
import { suggest } from "../util/suggest.ts";
import { vector } from "./checks.ts";
import { definitionOf, isArrayType } from "./column-types.ts";
import { edgeSchema } from "./edge.ts";
import type { Entity, Shape } from "./entity.ts";
import { beyondSafe, checkedRow, restoreNumbers } from "./exact-numbers.ts";
import type { Field } from "./field.ts";
import {
	characters,
	hasProtoKey,
	innerHolesProblem,
	keyProblem,
	limits,
	scopeProblem,
	sharedTenant,
	type ValueProblem,
	valueProblem,
} from "./limits.ts";
import { keyOfRow } from "./rows.ts";
import { toVector, type VectorInput } from "./vector.ts";

/** A row that can be written as it is. */
export interface ValidRow {
	/** Its place in the input, from 0. */
	readonly index: number;
	/** As given; without one, the stored row's of the same key, or a new one. */
	readonly id: string | undefined;
	/** `*` for entities without tenants. */
	readonly tenantId: string;
	readonly userId: string | null;
	/** Whether the row itself, or the call, names its user. */
	readonly hasUserId: boolean;
	/** The natural key as kv_store stores it; `null`: the row has none. */
	readonly key: string | null;
	/** What the caller gave, by field. Absent fields stay as they are. */
	readonly supplied: Readonly<Record<string, unknown>>;
	/** What a new row has where the caller gave nothing. */
	readonly defaults: Readonly<Record<string, unknown>>;
	/** Fields with an infinity or NaN: they may stay so, but not become so. */
	readonly unwritable: readonly string[];
	readonly vectors: Readonly<Record<string, Float32Array>>;
}

export interface RowScope {
	/** Tenant of the call; a row that names another is refused. */
	readonly tenantId?: string | undefined;
	/** User of rows that name none. */
	readonly userId?: string | null | undefined;
	/** User of a scope: a row may be that user's or shared; `null`: shared. @default any user's */
	readonly boundUser?: string | null | undefined;
	/** Tenant of rows when neither they nor the call name one; `null`: refused. */
	readonly defaultTenant: string | null;
	/** Place of the first of the rows in the caller's input. @default 0 */
	readonly firstIndex?: number;
}

/**
 * Checks rows against the model, all of them before anything is written.
 * Throws one error that names every bad row and field.
 */
export function validateRows(
	entity: Entity,
	rows: readonly unknown[],
	scope: RowScope,
): ValidRow[] {
	const steps = validationSteps(entity, rows, scope);
	for (;;) {
		const step = steps.next();
		if (step.done === true) return step.value;
	}
}

/** What a patch changes of every row that it is about. */
export interface ValidPatch {
	/** Fields with their new values; `null` clears. */
	readonly supplied: Readonly<Record<string, unknown>>;
	/** Fields with an infinity or NaN: they may stay so, but not become so. */
	readonly unwritable: readonly string[];
	readonly vectors: Readonly<Record<string, Float32Array>>;
	/** The rows' new owner; `null`: shared; `undefined`: as it is. */
	readonly userId: string | null | undefined;
	/** Whether a row must be read to see what it would become: {@link patchedKey}. */
	readonly needsRow: boolean;
}

/** Accepted so that a row that was read can be passed as a patch of itself; the stored ones stay. */
const ignoredByPatch = ["createdAt", "updatedAt", "deletedAt"];

/** Checks a patch against the model. Throws one error that names every bad field. */
export function validatePatch(
	entity: Entity,
	given: Readonly<Record<string, unknown>>,
	scope: RowScope,
): ValidPatch {
	checkCallScope(scope);
	const row = Object.fromEntries(
		Object.entries(given).filter(([, value]) => value !== undefined),
	);
	const problems: Problem[] = [];
	const own = ownInput(entity);
	const schema = z.strictObject({
		...systemInput(entity),
		...Object.fromEntries(
			Object.entries(own).filter(([name]) => Object.hasOwn(row, name)),
		),
	});
	const holes = Object.entries(row).flatMap(([field, value]): Problem[] => {
		if (typeof value !== "object" || value === null) return [];
		const message = innerHolesProblem(value);
		return message === undefined ? [] : [{ kind: "limit", field, message }];
	});
	if (holes.length > 0) throw invalidRows(entity, holes);
	const parsed = parseExact(entity, schema, row);
	if ("problem" in parsed) throw invalidRows(entity, [parsed.problem]);
	if (!parsed.success)
		throw invalidRows(
			entity,
			parsed.error.issues.flatMap((issue) => toProblems(entity, issue)),
		);
	const output = parsed.data;
	const unwritable = "unwritable" in parsed ? parsed.unwritable : [];
	problems.push(
		...storageProblems(entity, { given: row, output, unwritable }),
		...vectorProblems(output),
	);
	const tenant = rowTenant(entity, row, scope);
	if (typeof tenant !== "string") problems.push(tenant);
	if (entity.keyFields?.length === 1)
		problems.push(...keyProblems(entity, keyOfRow(entity, output)));
	if (problems.length > 0) throw invalidRows(entity, problems);
	const { supplied } = splitSupplied(entity, row, output);
	const changed = Object.fromEntries(
		Object.entries(supplied).filter(([name]) => !ignoredByPatch.includes(name)),
	);
	if (Object.keys(changed).length === 0 && row.userId === undefined)
		throw new RemError(
			"VALIDATION",
			`the patch for "${entity.tableName}" is empty`,
			{ hint: "name at least one field and its new value; null clears one" },
		);
	return {
		supplied: changed,
		unwritable: unwritable.map(({ name }) => name),
		vectors: toVectors(output.vectors as GivenVectors | undefined),
		userId:
			row.userId === undefined
				? undefined
				: typeof row.userId === "string"
					? row.userId
					: null,
		needsRow:
			entity.refinements.length > 0 ||
			((entity.keyFields?.length ?? 0) > 1 &&
				entity.keyFields?.some(({ name }) => name in changed) === true),
	};
}

/**
 * The natural key of a stored row with the patch. Throws where the whole row
 * would not be valid: a refinement of the model refuses it, or its key is too long.
 */
export function patchedKey(
	entity: Entity,
	stored: Readonly<Record<string, unknown>>,
	{ supplied }: Pick<ValidPatch, "supplied">,
): string | null {
	const row = { ...stored, ...supplied };
	const key = keyOfRow(entity, row);
	const problems = keyProblems(entity, key);
	if (entity.refinements.length > 0) {
		const schema = z.any().check(...refinementsOf(entity));
		const parsed = parse(schema, asOutput(entity, row));
		if ("problem" in parsed) problems.push(parsed.problem);
		else if (!parsed.success)
			problems.push(
				...parsed.error.issues.flatMap((issue) => toProblems(entity, issue)),
			);
	}
	if (problems.length > 0) throw invalidRows(entity, problems);
	return key;
}

/** A stored row as zod puts it out: NULL is absent where the field does not accept null. */
function asOutput(entity: Entity, row: Readonly<Row>): Row {
	return Object.fromEntries(
		Object.entries(row).filter(([name, value]) => {
			const schema = entity.shape[name];
			return (
				value !== null ||
				schema === undefined ||
				z.safeParse(schema, null).success
			);
		}),
	);
}

const rowsPerStep = 500;

/** The same, with a pause after some rows, in which the caller can stop it. */
export function* validationSteps(
	entity: Entity,
	rows: readonly unknown[],
	scope: RowScope,
): Generator<undefined, ValidRow[]> {
	checkCallScope(scope);
	const { firstIndex = 0 } = scope;
	const rules = { entity, scope, schema: rowSchema(entity) };
	const problems: Problem[] = [];
	const valid: ValidRow[] = [];
	for (const [offset, row] of rows.entries()) {
		if (offset % rowsPerStep === rowsPerStep - 1) yield;
		// An endless list would have endless problems.
		if (problems.length > maxIssues) break;
		const result = validateRow(rules, row, firstIndex + offset);
		if (Array.isArray(result)) problems.push(...result);
		else valid.push(result);
	}
	if (problems.length > 0) throw invalidRows(entity, problems);
	return valid;
}

interface Problem extends Issue {
	readonly kind: "value" | "unknown field" | "tenant" | "no tenant" | "limit";
}

/** What the rows of a call are checked against. */
interface Rules {
	readonly entity: Entity;
	readonly scope: RowScope;
	readonly schema: RowSchema;
}

function validateRow(
	{ entity, scope, schema }: Rules,
	given: unknown,
	index: number,
): ValidRow | Problem[] {
	if (!isObject(given) || Array.isArray(given))
		return [{ kind: "value", index, message: "expected an object" }];
	for (const name of Object.keys(given)) {
		const value = given[name];
		if (typeof value !== "object" || value === null) continue;
		const message = innerHolesProblem(value);
		if (message !== undefined)
			return [{ kind: "limit", index, field: name, message }];
	}
	const parsed = parseExact(entity, schema, given);
	if ("problem" in parsed) return [{ ...parsed.problem, index }];
	if (!parsed.success)
		return parsed.error.issues.flatMap((issue) =>
			toProblems(entity, issue, index),
		);
	const output = parsed.data;
	const unwritable = "unwritable" in parsed ? parsed.unwritable : [];
	const problems = [
		...storageProblems(entity, { given, output, unwritable, index }),
		...vectorProblems(output, index),
	];
	const tenant = rowTenant(entity, given, scope);
	if (typeof tenant !== "string") problems.push({ ...tenant, index });
	problems.push(...userProblems(given, scope, index));
	const key = keyOfRow(entity, output);
	problems.push(...keyProblems(entity, key, index));
	if (problems.length > 0 || typeof tenant !== "string") return problems;
	return {
		index,
		id: typeof output.id === "string" ? output.id.toLowerCase() : undefined,
		tenantId: tenant,
		// A row's own null means shared, whatever the call's user.
		userId:
			given.userId === undefined
				? (scope.userId ?? null)
				: typeof given.userId === "string"
					? given.userId
					: null,
		hasUserId: given.userId !== undefined || scope.userId !== undefined,
		key,
		...splitSupplied(entity, given, output),
		unwritable: unwritable.map(({ name }) => name),
		vectors: toVectors(output.vectors as GivenVectors | undefined),
	};
}

function keyProblems(
	{ keyFields }: Entity,
	key: string | null,
	index?: number,
): Problem[] {
	if (key === null) return [];
	const place = { ...at(index), field: keyFields?.[0]?.name ?? "key" };
	const problems: Problem[] = [];
	if (characters(key) > limits.keyLength)
		problems.push({
			kind: "limit",
			...place,
			message: `key has ${characters(key)} characters, at most ${limits.keyLength} are allowed`,
		});
	const nameless = keyProblem(key);
	if (nameless !== undefined)
		problems.push({ kind: "value", ...place, message: `key ${nameless}` });
	return problems;
}

/** A patch has no place among rows. */
function at(index: number | undefined): { readonly index?: number } {
	return index === undefined ? {} : { index };
}

type GivenVectors = Readonly<Record<string, VectorInput>>;

function toVectors(given: GivenVectors = {}): Record<string, Float32Array> {
	const vectors: Record<string, Float32Array> = {};
	for (const name in given) {
		const vector = given[name];
		if (vector !== undefined) vectors[name] = toVector(vector);
	}
	return vectors;
}

/** The caller's own values apart from those that zod filled in. */
function splitSupplied(
	entity: Entity,
	given: Record<string, unknown>,
	output: Record<string, unknown>,
): Pick<ValidRow, "supplied" | "defaults"> {
	const supplied: Record<string, unknown> = {};
	const defaults: Record<string, unknown> = {};
	for (const field of entity.fields) {
		const value = output[field.name];
		if (value === undefined) continue;
		const isGiven = given[field.name] !== undefined;
		(isGiven ? supplied : defaults)[field.name] = isArrayType(field.type)
			? value
			: (definitionOf(field.type).canonical?.(value) ?? value);
	}
	// Stored as given: zod has looked at them, its copies lack "__proto__".
	for (const name of ["graphEdges", "metadata", "tags", "createdAt"])
		if (given[name] !== undefined) supplied[name] = given[name];
	return { supplied, defaults };
}

type Row = Record<string, unknown>;
type RowSchema = z.core.$ZodType<Row>;

const rowSchemas = new WeakMap<Entity, RowSchema>();

/** The model's fields and the system's as one strict zod object. */
function rowSchema(entity: Entity): RowSchema {
	const known = rowSchemas.get(entity);
	if (known !== undefined) return known;
	const schema = z
		.strictObject({ ...systemInput(entity), ...ownInput(entity) })
		.check(...refinementsOf(entity));
	rowSchemas.set(entity, schema);
	return schema;
}

function ownInput({ shape, fieldsByName }: Entity): Record<string, Schema> {
	const fields = Object.entries(shape).map(([name, schema]) => {
		// `null` clears whatever may be absent, also where zod only has optional().
		const isNullable = fieldsByName.get(name)?.nullable === true;
		return [name, isNullable ? z.nullable(schema) : schema] as const;
	});
	return Object.fromEntries(fields);
}

type Schema = z.core.$ZodType;

function refinementsOf({ refinements }: Entity) {
	return refinements as readonly z.core.$ZodCheck<Row>[];
}

function systemInput(entity: Entity): Shape {
	const scopeName = z.string().superRefine((name, context) => {
		const message = scopeProblem(name);
		if (message !== undefined) context.addIssue({ code: "custom", message });
	});
	const vectors = entity.embedFields.map((field) => [
		field.name,
		z.optional(
			z.custom<VectorInput>((value) => vector(value) === undefined, {
				error: "expected a Float32Array, a Float64Array or an array of numbers",
			}),
		),
	]);
	return {
		id: z.optional(z.guid()),
		...(entity.tenantScoped ? { tenantId: z.optional(scopeName) } : {}),
		userId: z.optional(z.nullable(scopeName)),
		graphEdges: z.optional(z.array(edgeSchema)),
		metadata: z.optional(z.record(z.string(), z.unknown())),
		tags: z.optional(z.array(z.string())),
		createdAt: z.optional(z.date()),
		updatedAt: z.optional(z.date()),
		deletedAt: z.optional(z.null("expected null: use delete()")),
		vectors: z.optional(z.strictObject(Object.fromEntries(vectors))),
	};
}

/** With numbers that JavaScript cannot represent, whatever zod accepts. */
function parseExact(
	entity: Entity,
	schema: RowSchema,
	row: Record<string, unknown>,
) {
	let checked = checkedRow(entity, row);
	let parsed = parse(schema, checked.row);
	if (checked.fields.length === 0 || "problem" in parsed) return parsed;
	const bounded = parsed.success ? undefined : beyondSafe(parsed.error.issues);
	if (bounded !== undefined && bounded.size > 0) {
		checked = checkedRow(entity, row, bounded);
		parsed = parse(schema, checked.row);
	}
	if ("problem" in parsed || !parsed.success) return parsed;
	restoreNumbers(checked, row, parsed.data);
	return { ...parsed, unwritable: checked.unwritable };
}

function parse(schema: RowSchema, row: object) {
	try {
		return z.safeParse(schema, row);
	} catch (cause) {
		if (cause instanceof z.core.$ZodAsyncError)
			throw new RemError(
				"VALIDATION",
				"the model has an asynchronous refinement or transform",
				{ hint: "check asynchronously before the upsert", cause },
			);
		// zod walks some JSON by recursion, before its depth is looked at.
		const isTooDeep = cause instanceof RangeError;
		const problem: Problem = isTooDeep
			? { kind: "limit", message: "is nested too deep" }
			: {
					kind: "value",
					message: "a transform or refinement of the model threw",
				};
		return { problem };
	}
}

/** Those of rows are checked by zod, the call's here. */
function checkCallScope({ tenantId, userId }: RowScope): void {
	for (const [name, value] of Object.entries({ tenantId, userId })) {
		if (value === undefined || value === null) continue;
		const problem = scopeProblem(value);
		if (problem !== undefined)
			throw new RemError("VALIDATION", `${name} ${problem}`);
	}
}

function toProblems(
	entity: Entity,
	issue: z.core.$ZodIssue,
	index?: number,
): Problem[] {
	const field = issue.path.map(String).join(".");
	if (issue.code === "unrecognized_keys" && field === "")
		return issue.keys.map((key) => {
			const hint = suggest(key, [...entity.fieldsByName.keys()]);
			const message = `unknown field${hint === undefined ? "" : `, ${hint}`}`;
			return { kind: "unknown field", ...at(index), field: key, message };
		});
	return [
		{
			kind: "value",
			...at(index),
			field,
			message: decapitalise(issue.message),
		},
	];
}

function decapitalise(text: string): string {
	return text.charAt(0).toLowerCase() + text.slice(1);
}

function storageProblems(
	entity: Entity,
	{
		given,
		output,
		unwritable,
		index,
	}: {
		readonly given: Readonly<Row>;
		readonly output: Readonly<Row>;
		readonly unwritable: readonly Field[];
		readonly index?: number | undefined;
	},
): Problem[] {
	const problems: Problem[] = [];
	// Loops, without lists in between: this runs for every row of a load.
	for (const name in output) {
		if (name === "vectors") continue;
		const field = entity.fieldsByName.get(name);
		if (field !== undefined && unwritable.includes(field)) continue;
		const isOwnJson =
			field?.type === "jsonb" && entity.shape[field.name] !== undefined;
		const problem =
			fieldProblem(field, output[name]) ??
			(isOwnJson && hasProtoKey(given[name]) ? protoKey : undefined);
		if (problem !== undefined)
			problems.push({ ...problem, ...at(index), field: name });
	}
	return problems;
}

function fieldProblem(
	field: Field | undefined,
	value: unknown,
): ValueProblem | undefined {
	const isList =
		field !== undefined && isArrayType(field.type) && Array.isArray(value);
	return isList
		? value.map((item) => valueProblem(item)).find(Boolean)
		: valueProblem(value);
}

/** Zod's copies lack it. */
const protoKey: ValueProblem = {
	kind: "value",
	message: 'has a key "__proto__"',
};

/** A vector is stored as that of a text: without it, it is not known whether it still is. */
function vectorProblems(
	output: Readonly<Record<string, unknown>>,
	index?: number,
): Problem[] {
	const problems: Problem[] = [];
	for (const name in output.vectors ?? {}) {
		const text = output[name];
		if (typeof text === "string" && text.trim() !== "") continue;
		const message = "is given without its text";
		problems.push({
			kind: "value",
			...at(index),
			field: `vectors.${name}`,
			message,
		});
	}
	return problems;
}

/** In a user's scope a row is that user's, or shared. */
function userProblems(
	{ userId }: Readonly<Record<string, unknown>>,
	{ boundUser }: RowScope,
	index: number,
): Problem[] {
	if (boundUser === undefined || typeof userId !== "string") return [];
	if (userId === boundUser) return [];
	return [
		{
			kind: "tenant",
			index,
			field: "userId",
			message: `user "${userId}" is not the scope's`,
		},
	];
}

function rowTenant(
	entity: Entity,
	given: Readonly<Record<string, unknown>>,
	scope: RowScope,
): string | Problem {
	if (!entity.tenantScoped) return sharedTenant;
	const own = typeof given.tenantId === "string" ? given.tenantId : undefined;
	if (
		own !== undefined &&
		scope.tenantId !== undefined &&
		own !== scope.tenantId
	)
		return {
			kind: "tenant",
			field: "tenantId",
			message: `tenant "${own}" is not the call's "${scope.tenantId}"`,
		};
	return (
		own ??
		scope.tenantId ??
		scope.defaultTenant ?? {
			kind: "no tenant",
			field: "tenantId",
			message: "no tenant is given",
		}
	);
}

const shownProblems = 10;

function invalidRows(entity: Entity, problems: readonly Problem[]): RemError {
	const first = problems.slice(0, shownProblems).map(placedMessage);
	const more = problems.length - first.length;
	return new RemError(
		errorCode(problems),
		`invalid ${problems.some(({ index }) => index !== undefined) ? "entities" : "patch"} for "${entity.tableName}": ${first.join("; ")}${more > 0 ? `; and ${problems.length > maxIssues ? "at least " : ""}${more} more` : ""}`,
		{
			hint: "nothing was written; correct the named fields",
			issues: problems.map(({ kind: _, ...issue }) => issue),
		},
	);
}

/** `entity 3, year: expected a number`; of a patch `year: expected a number`. */
function placedMessage({ index, field, message }: Problem): string {
	const place = [
		...(index === undefined ? [] : [`entity ${index}`]),
		...(field ? [field] : []),
	].join(", ");
	return place === "" ? message : `${place}: ${message}`;
}

/** One kind of problem has its own code; several together are VALIDATION. */
function errorCode(problems: readonly Problem[]) {
	const kinds = new Set(problems.map((problem) => problem.kind));
	if (kinds.size > 1) return "VALIDATION";
	const [kind] = kinds;
	if (kind === "unknown field") return "UNKNOWN_FIELD";
	if (kind === "tenant") return "TENANT_MISMATCH";
	if (kind === "no tenant") return "TENANT_REQUIRED";
	return kind === "limit" ? "INPUT_LIMIT" : "VALIDATION";
}

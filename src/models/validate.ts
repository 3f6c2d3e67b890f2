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
	const key = keyOfRow(entity, output);
	if (key !== null && characters(key) > limits.keyLength)
		problems.push({
			kind: "limit",
			index,
			field: entity.keyFields?.[0]?.name ?? "key",
			message: `key has ${characters(key)} characters, at most ${limits.keyLength} are allowed`,
		});
	const nameless = key === null ? undefined : keyProblem(key);
	if (nameless !== undefined)
		problems.push({
			kind: "value",
			index,
			field: entity.keyFields?.[0]?.name ?? "key",
			message: `key ${nameless}`,
		});
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
	const fields = Object.entries(entity.shape).map(([name, schema]) => {
		// `null` clears whatever may be absent, also where zod only has optional().
		const isNullable = entity.fieldsByName.get(name)?.nullable === true;
		return [name, isNullable ? z.nullable(schema) : schema];
	});
	const schema = z
		.strictObject({ ...systemInput(entity), ...Object.fromEntries(fields) })
		.check(...(entity.refinements as readonly z.core.$ZodCheck<Row>[]));
	rowSchemas.set(entity, schema);
	return schema;
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
	index: number,
): Problem[] {
	const field = issue.path.map(String).join(".");
	if (issue.code === "unrecognized_keys" && field === "")
		return issue.keys.map((key) => {
			const hint = suggest(key, [...entity.fieldsByName.keys()]);
			const message = `unknown field${hint === undefined ? "" : `, ${hint}`}`;
			return { kind: "unknown field", index, field: key, message };
		});
	return [
		{ kind: "value", index, field, message: decapitalise(issue.message) },
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
		readonly index: number;
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
			problems.push({ ...problem, index, field: name });
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
	index: number,
): Problem[] {
	const problems: Problem[] = [];
	for (const name in output.vectors ?? {}) {
		const text = output[name];
		if (typeof text === "string" && text.trim() !== "") continue;
		const message = "is given without its text";
		problems.push({ kind: "value", index, field: `vectors.${name}`, message });
	}
	return problems;
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
	const first = problems
		.slice(0, shownProblems)
		.map(
			({ index, field, message }) =>
				`entity ${index}${field ? `, ${field}` : ""}: ${message}`,
		);
	const more = problems.length - first.length;
	return new RemError(
		errorCode(problems),
		`invalid entities for "${entity.tableName}": ${first.join("; ")}${more > 0 ? `; and ${problems.length > maxIssues ? "at least " : ""}${more} more` : ""}`,
		{
			hint: "nothing was written; correct the named fields",
			issues: problems.map(({ kind: _, ...issue }) => issue),
		},
	);
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

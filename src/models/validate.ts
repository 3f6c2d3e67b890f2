import { maxIssues } from "../errors.ts";
import { isObject } from "../util/present.ts";
import { definitionOf, isArrayType } from "./column-types.ts";
import type { Entity } from "./entity.ts";
import { innerHolesProblem } from "./limits.ts";
import {
	checkCallScope,
	invalidRows,
	keyProblems,
	type Problem,
	type RowScope,
	rowTenant,
	storageProblems,
	toProblems,
	userProblems,
	vectorProblems,
} from "./row-problems.ts";
import { parseExact, type RowSchema, rowSchema } from "./row-schema.ts";
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
		vectors: toVectors(output.vectors),
	};
}

export function toVectors(given: unknown): Record<string, Float32Array> {
	// zod has checked them.
	const checked = (given ?? {}) as Readonly<Record<string, VectorInput>>;
	const vectors: Record<string, Float32Array> = {};
	for (const name in checked) {
		const vector = checked[name];
		if (vector !== undefined) vectors[name] = toVector(vector);
	}
	return vectors;
}

/** The caller's own values apart from those that zod filled in. */
export function splitSupplied(
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

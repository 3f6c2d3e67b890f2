import * as z from "zod";
import { RemError } from "../errors.ts";
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
	vectorProblems,
} from "./row-problems.ts";
import {
	ownInput,
	parse,
	parseExact,
	type Row,
	refinementsOf,
	systemInput,
} from "./row-schema.ts";
import { keyOfRow } from "./rows.ts";
import { splitSupplied, toVectors } from "./validate.ts";

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
		throw emptyPatch(entity, row);
	return {
		supplied: changed,
		unwritable: unwritable.map(({ name }) => name),
		vectors: toVectors(output.vectors),
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

/** Also of fields that an update never changes: without them nothing is left. */
function emptyPatch(
	{ tableName }: Entity,
	row: Readonly<Record<string, unknown>>,
): RemError {
	const ignored = ["id", "tenantId", ...ignoredByPatch].filter(
		(name) => row[name] !== undefined,
	);
	return new RemError(
		"VALIDATION",
		ignored.length === 0
			? `the patch for "${tableName}" is empty`
			: `the patch for "${tableName}" is empty without ${ignored.join(", ")}, which an update does not change`,
		{ hint: "name at least one field and its new value; null clears one" },
	);
}

import type * as z from "zod";
import { type Issue, maxIssues, RemError } from "../errors.ts";
import { suggest } from "../util/suggest.ts";
import { isArrayType } from "./column-types.ts";
import type { Entity } from "./entity.ts";
import type { Field } from "./field.ts";
import {
	characters,
	hasProtoKey,
	keyProblem,
	limits,
	scopeProblem,
	sharedTenant,
	type ValueProblem,
	valueProblem,
} from "./limits.ts";

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

export interface Problem extends Issue {
	readonly kind: "value" | "unknown field" | "tenant" | "no tenant" | "limit";
}

export function keyProblems(
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

/** Those of rows are checked by zod, the call's here. */
export function checkCallScope({ tenantId, userId }: RowScope): void {
	for (const [name, value] of Object.entries({ tenantId, userId })) {
		if (value === undefined || value === null) continue;
		const problem = scopeProblem(value);
		if (problem !== undefined)
			throw new RemError("VALIDATION", `${name} ${problem}`);
	}
}

export function toProblems(
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
			message: isInvalidDate(issue)
				? "is not a valid date"
				: decapitalise(issue.message),
		},
	];
}

/** `new Date("next week")`, of which zod's own text is "expected date, received Date". */
function isInvalidDate(issue: z.core.$ZodIssue): boolean {
	return (
		issue.code === "invalid_type" &&
		issue.message === "Invalid input: expected date, received Date"
	);
}

function decapitalise(text: string): string {
	return text.charAt(0).toLowerCase() + text.slice(1);
}

export function storageProblems(
	entity: Entity,
	{
		given,
		output,
		unwritable,
		index,
	}: {
		readonly given: Readonly<Record<string, unknown>>;
		readonly output: Readonly<Record<string, unknown>>;
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
export function vectorProblems(
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

/**
 * In a user's scope a row is that user's, or shared. Of a strict service a missing
 * value does not share it: the call names the user, or nothing does.
 */
export function userProblems(
	given: Readonly<Record<string, unknown>>,
	{ boundUser, userId: ofCall, defaultTenant }: RowScope,
	index: number,
): Problem[] {
	const { userId } = given;
	const isMissing = userId === undefined && Object.hasOwn(given, "userId");
	if (isMissing && ofCall === undefined && defaultTenant === null)
		return [
			{
				kind: "value",
				index,
				field: "userId",
				message:
					"is undefined: name the user, pass null for a shared row, or leave it out",
			},
		];
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

export function rowTenant(
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

export function invalidRows(
	entity: Entity,
	problems: readonly Problem[],
): RemError {
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

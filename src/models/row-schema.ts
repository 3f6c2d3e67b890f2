import * as z from "zod";
import { RemError } from "../errors.ts";
import { vector } from "./checks.ts";
import { edgeSchema } from "./edge.ts";
import type { Entity, Shape } from "./entity.ts";
import { beyondSafe, checkedRow, restoreNumbers } from "./exact-numbers.ts";
import { scopeProblem } from "./limits.ts";
import type { Problem } from "./row-problems.ts";
import type { VectorInput } from "./vector.ts";

export type Row = Record<string, unknown>;

export type RowSchema = z.core.$ZodType<Row>;

const rowSchemas = new WeakMap<Entity, RowSchema>();

/** The model's fields and the system's as one strict zod object. */
export function rowSchema(entity: Entity): RowSchema {
	const known = rowSchemas.get(entity);
	if (known !== undefined) return known;
	const schema = z
		.strictObject({ ...systemInput(entity), ...ownInput(entity) })
		.check(...refinementsOf(entity));
	rowSchemas.set(entity, schema);
	return schema;
}

export function ownInput({
	shape,
	fieldsByName,
}: Entity): Record<string, Schema> {
	const fields = Object.entries(shape).map(([name, schema]) => {
		// `null` clears whatever may be absent, also where zod only has optional().
		const isNullable = fieldsByName.get(name)?.nullable === true;
		return [name, isNullable ? z.nullable(schema) : schema] as const;
	});
	return Object.fromEntries(fields);
}

type Schema = z.core.$ZodType;

export function refinementsOf({ refinements }: Entity) {
	return refinements as readonly z.core.$ZodCheck<Row>[];
}

export function systemInput(entity: Entity): Shape {
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
export function parseExact(
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

export function parse(schema: RowSchema, row: object) {
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

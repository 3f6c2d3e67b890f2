import * as z from "zod";
import type { Entity } from "../models/entity.ts";
import { membersOf } from "../util/present.ts";

type Schema = Record<string, unknown>;

/** What every entity takes besides its own fields. */
const common = {
	tags: { type: "array", items: { type: "string" } },
	metadata: { type: "object" },
};

/** JSON Schema of an entity's fields, as a model writes one. */
export function entitySchema(entity: Entity): Schema {
	const { properties, required = [] } = fieldsSchema(entity);
	return {
		title: entity.tableName,
		type: "object",
		properties: { ...membersOf(properties), ...common },
		required,
		additionalProperties: false,
	};
}

function fieldsSchema({ shape }: Entity): Schema {
	return z.toJSONSchema(z.object(shape as z.ZodRawShape), {
		io: "input",
		unrepresentable: "any",
		cycles: "ref",
		override: ({ zodSchema, jsonSchema }) => {
			const { type } = zodSchema._zod.def;
			if (type === "date")
				Object.assign(jsonSchema, { type: "string", format: "date-time" });
			if (type === "bigint") Object.assign(jsonSchema, { type: "integer" });
			compact(jsonSchema);
		},
	});
}

/** Without what costs tokens and states nothing. */
function compact(schema: z.core.JSONSchema.BaseSchema): void {
	if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
	if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
	delete schema.default;
	delete schema.embed;
	delete schema.propertyNames;
	delete schema.$schema;
	if (isEmpty(schema.additionalProperties)) delete schema.additionalProperties;
}

function isEmpty(value: unknown): boolean {
	return (
		typeof value === "object" &&
		value !== null &&
		Object.keys(value).length === 0
	);
}

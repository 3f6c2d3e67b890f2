import { describe, expect, test } from "vitest";
import { entityFromJsonSchema } from "../../src/models/json-schema.ts";

// What Pydantic 2 exports with model_json_schema(), json_schema_extra included.
const imageResource = {
	$defs: { Tier: { enum: ["free", "gold"], title: "Tier", type: "string" } },
	title: "ImageResource",
	type: "object",
	properties: {
		id: {
			anyOf: [{ type: "string", format: "uuid" }, { type: "null" }],
			default: null,
		},
		tenant_id: { anyOf: [{ type: "string" }, { type: "null" }], default: null },
		graph_edges: { type: "array", items: { type: "object" }, default: [] },
		created_at: { type: "string", format: "date-time" },
		name: { type: "string", title: "Name" },
		content: { type: "string", default: "" },
		vision_description: {
			anyOf: [{ type: "string" }, { type: "null" }],
			default: null,
			embed: true,
		},
		notes: { type: "string", embed: false },
		size_bytes: {
			anyOf: [{ type: "integer", minimum: 0 }, { type: "null" }],
			default: null,
		},
		s3_key: { type: "string" },
		score: { type: "number", default: 0.5 },
		taken_at: { type: "string", format: "date-time" },
		owner: { type: "string", format: "uuid" },
		tier: { $ref: "#/$defs/Tier", default: "free" },
		emotion_tags: { type: "array", items: { type: "string" } },
		present_persons: { type: "array", items: { type: "object" } },
		sec_policy: { type: "object", additionalProperties: true },
		mixed: { anyOf: [{ type: "string" }, { type: "integer" }] },
	},
	required: [
		"name",
		"notes",
		"s3_key",
		"taken_at",
		"owner",
		"emotion_tags",
		"mixed",
	],
};

describe("a JSON Schema as Pydantic exports it", () => {
	const entity = entityFromJsonSchema(imageResource);

	test("is a model with its table, key and columns", () => {
		expect(entity.problems).toEqual([]);
		expect(entity.tableName).toBe("image_resources");
		expect(entity.keyFields?.map(({ name }) => name)).toEqual(["name"]);
		expect(
			entity.fields.map(
				({ column, type, nullable, defaultValue }) =>
					`${column} ${type}${nullable ? "" : " NOT NULL"}${defaultValue === undefined ? "" : ` ${JSON.stringify(defaultValue)}`}`,
			),
		).toEqual([
			"name text NOT NULL",
			'content text NOT NULL ""',
			"vision_description text",
			"notes text NOT NULL",
			"size_bytes bigint",
			"s3_key text NOT NULL",
			"score double precision NOT NULL 0.5",
			"taken_at timestamptz NOT NULL",
			"owner uuid NOT NULL",
			'tier text NOT NULL "free"',
			"emotion_tags text[] NOT NULL",
			"present_persons jsonb",
			"sec_policy jsonb",
			"mixed jsonb NOT NULL",
		]);
	});

	test("embeds marked fields, and texts of the usual names", () => {
		expect(entity.embedFields.map(({ name }) => name)).toEqual([
			"content",
			"visionDescription",
		]);
	});

	test("sets table, key and options beside its fields", () => {
		const model = entityFromJsonSchema({
			title: "Whatever",
			table_name: "pages",
			tenant_scoped: false,
			create_embeddings: false,
			create_kv_trigger: false,
			properties: {
				uri: { type: "string", entity_key: true },
				ordinal: { type: "integer", entity_key: true },
			},
			required: ["uri", "ordinal"],
		});
		expect(model).toMatchObject({
			tableName: "pages",
			tenantScoped: false,
			createEmbeddings: false,
			createKvTrigger: false,
			problems: [],
		});
		expect(model.keyFields?.map(({ name }) => name)).toEqual([
			"uri",
			"ordinal",
		]);
		const keyless = entityFromJsonSchema({
			title: "Entry",
			entity_key_field: null,
			properties: { text: { type: "string" } },
		});
		expect(keyless).toMatchObject({
			tableName: "entries",
			keyFields: null,
			problems: [],
		});
	});

	test("with embed on what is no text has problems", () => {
		const model = entityFromJsonSchema({
			title: "Box",
			properties: { size: { type: "integer", embed: true } },
		});
		expect(model.tableName).toBe("boxes");
		expect(model.problems.map(({ message }) => message)).toEqual([
			"embed is for text, this is bigint",
		]);
	});

	test.each([
		[{}],
		[[]],
		[null],
		[{ properties: { a: { $ref: "#/$defs/No" } } }],
	])("that is none is refused: %j", (schema) => {
		expect(() => entityFromJsonSchema(schema)).toThrow(TypeError);
	});
});

import * as v6 from "ai";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { remTools } from "../../src/ai/index.ts";
import { toolRecords } from "../../src/ai/tool-records.ts";
import { defineEntity } from "../../src/index.ts";
import { useService } from "../support/engine.ts";
import { mockModel, type Specification } from "../support/mock-model.ts";

const Fact = defineEntity(
	"facts",
	{ name: z.string(), content: z.string() },
	{ entityKeyField: "name" },
);
const Person = defineEntity(
	"people",
	{ name: z.string() },
	{ entityKeyField: "name" },
);
const db = useService({ models: [Fact, Person] });

/** What the test uses of a version of the SDK. */
interface Sdk {
	generateText(options: object): Promise<{
		readonly text: string;
		readonly steps: readonly {
			readonly toolResults: readonly { readonly output: unknown }[];
		}[];
	}>;
	stepCountIs(count: number): unknown;
	jsonSchema(schema: object): unknown;
}

const versions: readonly {
	readonly version: string;
	readonly specification: Specification;
	readonly load: () => Promise<unknown>;
}[] = [
	{
		version: "5",
		specification: "v2",
		load: () => import("ai-sdk-v5"),
	},
	{ version: "6", specification: "v3", load: async () => v6 },
];

describe.each(versions)(
	"the AI SDK $version",
	({ version, specification, load }) => {
		test("remembers, recalls and corrects itself with the tools", async () => {
			const { generateText, stepCountIs, jsonSchema } = (await load()) as Sdk;
			const memory = db.service.scope({
				tenantId: `sdk-${version}`,
				userId: "sarah",
			});
			const entities = [{ name: "battery", content: "it lasts nine hours" }];
			const model = mockModel(specification, [
				{ tool: "remember", input: { table: "fact", entities } },
				{ tool: "remember", input: { table: "facts", entities } },
				{ tool: "recall", input: { query: "battery", tenantId: "other" } },
				{ tool: "recall", input: { query: "battery" } },
				"Nine hours.",
			]);
			const { text, steps } = await generateText({
				model,
				prompt: "How long does the battery last?",
				// Its own schemas, as an installation with this version has them.
				tools: toolRecords(memory, {}, jsonSchema),
				stopWhen: stepCountIs(8),
			});
			expect(text).toBe("Nine hours.");
			const results = steps.flatMap(({ toolResults }) =>
				toolResults.map(({ output }) => output),
			);
			expect(results).toMatchObject([
				{ error: { code: "UNKNOWN_ENTITY", hint: 'did you mean "facts"?' } },
				{ uris: ["rem://facts/battery"], inserted: 1 },
				{ error: { code: "TENANT_MISMATCH" } },
				{ items: [{ uri: "rem://facts/battery" }] },
			]);
			// The model was given the tools, and then what they answered.
			expect(model.asked[0]).toContain('"name":"remember"');
			expect(model.asked.at(-1)).toContain("nine hours");
			const [row] = await db.service
				.repository(Fact)
				.find({ tenantId: `sdk-${version}` });
			expect(row).toMatchObject({ userId: "sarah" });
		});
	},
);

describe("remTools", () => {
	const scope = () => db.service.scope({ tenantId: "acme" });

	test("has the tools that are asked for", () => {
		expect(Object.keys(remTools(scope()))).toEqual([
			"recall",
			"lookup",
			"get",
			"search",
			"traverse",
			"remember",
			"link",
			"forget",
		]);
		expect(Object.keys(remTools(scope(), { readOnly: true }))).toHaveLength(5);
		expect(Object.keys(remTools(scope(), { surface: "full" }))).toHaveLength(
			11,
		);
	});

	test("limits tables and tokens", async () => {
		const { remember, lookup } = remTools(scope(), {
			tables: ["people"],
			maxTokens: 300,
		});
		const run = (tool: typeof remember, input: unknown) =>
			tool?.execute?.(input, { toolCallId: "1", messages: [] });
		const names = Array.from({ length: 40 }, (_, at) => `person-${at}`);
		expect(
			await run(remember, { table: "facts", entities: [{ name: "x" }] }),
		).toMatchObject({ error: { code: "UNKNOWN_ENTITY" } });
		// A single table need not be named.
		await run(remember, { entities: names.map((name) => ({ name })) });
		const found = (await run(lookup, { keys: names, limit: 50 })) as {
			cursor: string;
			items: unknown[];
		};
		expect(found.cursor).toBeTruthy();
		expect(found.items.length).toBeLessThan(40);
	});

	test("stops with the SDK's signal", async () => {
		const { recall } = remTools(scope());
		const stopped = recall?.execute?.(
			{ query: "x" },
			{ toolCallId: "1", messages: [], abortSignal: AbortSignal.abort() },
		);
		await expect(stopped).rejects.toMatchObject({ code: "CANCELLED" });
	});

	test("refuses what is no scope and what is no option", () => {
		expect(() => remTools(db.service as never)).toThrow("needs a scope");
		expect(() => remTools({} as never)).toThrow("needs a scope");
		expect(() => remTools(undefined as never)).toThrow("needs a scope");
		expect(() => remTools(scope(), { readonly: true } as never)).toThrow(
			'unknown option "readonly"',
		);
		expect(() => remTools(scope(), { tables: ["fcts"] })).toThrow(
			'unknown table "fcts"',
		);
		expect(() => remTools(scope(), { maxTokens: 0 })).toThrow("maxTokens");
	});
});

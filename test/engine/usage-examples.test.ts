import { expect, test } from "vitest";
import { Resource, registerType } from "../../src/index.ts";
import { useService } from "../support/engine.ts";

// The specification's "Usage Examples", in TypeScript, in its order.
const db = useService();

test("register entity types: the generated texts run, and run again", async () => {
	const { sql } = registerType(Resource);
	for (let time = 1; time <= 2; time++) {
		await db.service.execute(sql.table);
		await db.service.execute(sql.embeddings);
		await db.service.execute(sql.kvTrigger);
	}
});

test("batch upsert with embeddings, then again without any change", async () => {
	const upsert = () =>
		db.service.batchUpsert({
			tableName: "resources",
			entities: [
				{
					name: "api-design-doc",
					description: "API design guidelines",
					content: "RESTful API best practices...",
				},
				{
					name: "deployment-guide",
					description: "Kubernetes deployment guide",
					content: "Deploy to EKS with Karpenter...",
				},
			],
			tenantId: "acme-corp",
			userId: "user123",
			generateEmbeddings: true,
		});
	expect(await upsert()).toMatchObject({
		inserted: 2,
		updated: 0,
		embeddingsGenerated: 4,
		kvEntries: 2,
	});
	expect(await upsert()).toMatchObject({
		inserted: 0,
		updated: 2,
		unchanged: 2,
		embeddingsGenerated: 0,
		kvEntries: 2,
	});
});

test("LOOKUP by natural key", async () => {
	const entity = await db.service.lookupEntity({
		entityKey: "api-design-doc",
		tenantId: "acme-corp",
	});
	expect(entity).toMatchObject({
		entityKey: "api-design-doc",
		entityType: "resources",
		userId: "user123",
	});
});

test("FUZZY search", async () => {
	const results = await db.service.fuzzySearch({
		query: "api design",
		tenantId: "acme-corp",
		threshold: 0.3,
		limit: 5,
	});
	expect(results.map((hit) => hit.entityKey)).toEqual(["api-design-doc"]);
	expect(results[0]?.score).toBeGreaterThan(0.3);
});

test("SEARCH by semantic similarity", async () => {
	const results = await db.service.vectorSearch({
		tableName: "resources",
		queryText: "how to deploy kubernetes",
		fieldName: "content",
		tenantId: "acme-corp",
		limit: 10,
	});
	expect(results.map((row) => row.name)).toEqual([
		"deployment-guide",
		"api-design-doc",
	]);
	expect(results[0]?.description).toBe("Kubernetes deployment guide");
});

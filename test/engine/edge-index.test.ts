import { describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type PostgresService } from "../../src/index.ts";
import { useService } from "../support/engine.ts";
import { schemaOf } from "../support/schemas.ts";

// An index on the targets of edges pays by the edges there are: 50 rows with 150
// each are read as slowly as 7,500 rows.

const Node = defineEntity(
	"nodes",
	{ name: z.string() },
	{ entityKeyField: "name", createEmbeddings: false },
);
const models = [Node] as const;
type Service = PostgresService<typeof models>;

const nodes = Array.from({ length: 50 }, (_, at) => ({
	name: `node ${at}`,
	graphEdges: Array.from({ length: 150 }, (_, edge) => ({
		dst: `node ${at + edge + 1}`,
		rel_type: "knows",
	})),
}));

const writers: Readonly<
	Record<string, (service: Service) => Promise<unknown>>
> = {
	"an array": (service) =>
		service.batchUpsert({ tableName: "nodes", entities: nodes }),
	"a stream": (service) =>
		service.batchUpsert({
			tableName: "nodes",
			entities: (async function* () {
				yield* nodes;
			})(),
			atomic: "chunk",
		}),
	"an iterable": (service) =>
		service.batchUpsert({
			tableName: "nodes",
			entities: new Set(nodes),
			atomic: "chunk",
		}),
	link: async (service) => {
		await service.batchUpsert({
			tableName: "nodes",
			entities: nodes.map(({ name }) => ({ name })),
		});
		for (const { name, graphEdges } of nodes)
			await service.link({ from: name, edges: graphEdges });
	},
};

describe.each(Object.entries(writers))("edges that come by %s", (_, write) => {
	const db = useService({ models });

	test("have the index of their targets, whatever the number of rows", async () => {
		await write(db.service);
		await db.service.indexer.drain();
		const { indexes } = await db.service.indexer.status();
		const states = indexes
			.filter(
				({ indexType, bucket = schemaOf() }) =>
					indexType === "gin" && bucket === schemaOf(),
			)
			.map(({ indexName, state }) => `${indexName} ${state}`);
		expect(states).toEqual([
			"gin_nodes__edge_keys valid",
			"gin_nodes__graph_edges deferred",
			"gin_nodes__metadata deferred",
			"gin_nodes__tags deferred",
		]);
	});
});

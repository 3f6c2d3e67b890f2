import type { PostgresService } from "remdb";
import {
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import {
	castGraph,
	centre,
	clique,
	dense,
	hub,
	type Node,
} from "../support/graphs.ts";
import { Cached } from "../support/models.ts";
import { whole } from "../support/numbers.ts";
import { settle, timed } from "../support/paired.ts";
import { PrecomputedProvider } from "../support/precomputed-provider.ts";
import { randomFrom } from "../support/random.ts";
import { median } from "../support/statistics.ts";
import { withWorkbench } from "../support/workbench.ts";

/** Walks along the edges: who played with whom, where everybody knows everybody, and from a node with very many. */
export const graph: BenchCase = { name: "graph", run };

type Service = PostgresService<readonly [typeof Cached]>;

const provider = new PrecomputedProvider(new Map());
const walks = 50;
const members = 14;

async function run(context: Context): Promise<Figure[]> {
	const cast = castGraph(context.quick);
	const leaves = 10_000;
	return withWorkbench(
		context.server,
		[Cached],
		provider,
		async (database, service) => {
			await write(service, "films", cast.nodes);
			await write(service, "clique", clique(members));
			await write(service, "hub", hub(leaves));
			await write(service, "centre", centre(leaves));
			const sizes = context.quick
				? ([[100, 30]] as const)
				: ([
						[500, 150],
						[1000, 200],
					] as const);
			for (const [size, edges] of sizes)
				await write(service, `dense ${size}`, dense(size, edges));
			// The index of edges by their targets.
			await service.indexer.repair({ missing: true });
			await service.indexer.drain();
			await database.client.query("VACUUM (ANALYZE)");
			context.say(
				`graph: ${whole(cast.nodes.length)} nodes ${cast.source} are there`,
			);
			const random = randomFrom(11);
			const person = () =>
				cast.people[Math.floor(random() * cast.people.length)] as string;
			const bothDense: Figure[] = [];
			for (const size of sizes)
				for (const depth of [1, 2])
					bothDense.push(...(await bothWays(context, service, size, depth)));
			return [
				await measure(context, {
					name: `co-stars at depth 2, ${cast.source}, median of ${walks}`,
					bound: 20,
					walk: () =>
						reach(service, "films", { from: person(), depth: 2, limit: 1000 }),
				}),
				await measure(context, {
					name: `${members} that all know each other, depth 5, median of ${walks}`,
					bound: 50,
					walk: () =>
						expectReach(
							service,
							"clique",
							{ from: "member 3", depth: 5 },
							members - 1,
						),
				}),
				await measure(context, {
					name: `the first 50 of a hub's ${whole(leaves)} edges, median of ${walks}`,
					bound: 50,
					walk: () =>
						expectReach(service, "hub", { from: "hub", depth: 1 }, 50),
				}),
				await measure(context, {
					name: `all of a hub's ${whole(leaves)} edges, median of 3`,
					times: 3,
					bound: 100,
					walk: () =>
						expectReach(
							service,
							"hub",
							{ from: "hub", depth: 1, limit: leaves },
							leaves,
						),
				}),
				await measure(context, {
					name: `all of a leaf's way in to ${whole(leaves)} edges, median of 3`,
					times: 3,
					bound: 100,
					walk: () =>
						expectReach(
							service,
							"hub",
							{ from: "leaf 7", depth: 1, direction: "in" },
							1,
						),
				}),
				await measure(context, {
					name: `all of the ${whole(leaves)} edges to a hub, median of 3`,
					times: 3,
					bound: 100,
					walk: () =>
						expectReach(
							service,
							"centre",
							{ from: "centre", depth: 1, limit: leaves, direction: "in" },
							leaves,
						),
				}),
				...bothDense,
			];
		},
	);
}

/** Where each has edges to and from many others: against them, within 3 times along them. */
async function bothWays(
	context: Context,
	service: Service,
	[size, edges]: readonly [size: number, edges: number],
	depth: number,
): Promise<Figure[]> {
	const walk = (direction: "out" | "in") => () =>
		reach(service, `dense ${size}`, {
			from: "node 3",
			depth,
			limit: 1000,
			nodeBudget: 100_000,
			direction,
		});
	const name = (way: string) =>
		`${whole(size)} × ${whole(edges)} edges, depth ${depth}, ${way}, median of 5`;
	const along = await measure(context, {
		name: name("along"),
		times: 5,
		walk: walk("out"),
	});
	return [
		along,
		await measure(context, {
			name: name("against"),
			times: 5,
			bound: Math.round(3 * median(along.values)),
			walk: walk("in"),
		}),
	];
}

interface Measured {
	readonly name: string;
	/** The most that the median may be, in milliseconds. */
	readonly bound?: number;
	readonly times?: number;
	/** Returns how many nodes were reached. */
	readonly walk: () => Promise<number>;
}

/** One value a round: the median of its walks. A first round warms up. */
async function measure(
	{ rounds }: Context,
	{ name, bound, times = walks, walk }: Measured,
): Promise<Figure> {
	const values: number[] = [];
	let nodes = 0;
	for (let round = 0; round <= rounds; round++) {
		await settle();
		const each: number[] = [];
		for (let at = 0; at < times; at++)
			each.push(
				await timed(async () => {
					nodes += await walk();
				}),
			);
		if (round > 0) values.push(median(each));
	}
	const reached = nodes / (times * (rounds + 1));
	return {
		name,
		values,
		unit: "ms",
		...(bound === undefined ? {} : { target: atMost(bound) }),
		detail: `${reached.toFixed(1)} nodes a walk`,
	};
}

interface Walk {
	readonly from: string;
	readonly depth: number;
	readonly limit?: number;
	readonly direction?: "out" | "in";
	readonly nodeBudget?: number;
}

async function reach(
	service: Service,
	tenantId: string,
	walk: Walk,
): Promise<number> {
	const { nodes, isComplete } = await service.traverse({ ...walk, tenantId });
	if (!isComplete) throw new Error(`the budget of ${tenantId} was not enough`);
	return nodes.length;
}

async function expectReach(
	service: Service,
	tenantId: string,
	walk: Walk,
	count: number,
): Promise<number> {
	const nodes = await reach(service, tenantId, walk);
	if (nodes !== count)
		throw new Error(`${nodes} nodes of ${tenantId}, expected ${count}`);
	return nodes;
}

async function write(
	service: Service,
	tenantId: string,
	nodes: readonly Node[],
): Promise<void> {
	await service.batchUpsert({
		tableName: "cached_rows",
		entities: nodes,
		tenantId,
	});
}

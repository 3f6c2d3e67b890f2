import {
	forceCollide,
	forceLink,
	forceManyBody,
	forceSimulation,
	forceX,
	forceY,
	type SimulationLinkDatum,
	type SimulationNodeDatum,
} from "d3-force";
import type { Neighbourhood } from "./neighbourhood.ts";

export interface Position {
	readonly x: number;
	readonly y: number;
}

interface Body extends SimulationNodeDatum {
	readonly id: string;
	x: number;
	y: number;
}

export interface Layout {
	/** Moves the nodes a little; `false`: they have come to rest. */
	step(): boolean;
	positions(): ReadonlyMap<string, Position>;
}

/** Nodes that were drawn before stay about where they were; new ones begin beside a neighbour. */
export function layOut(
	{ nodes, edges }: Neighbourhood,
	before: ReadonlyMap<string, Position>,
): Layout {
	const bodies = nodes.map(({ entityId }, at): Body => {
		const neighbour = edges.find(
			({ source, target }) => source === entityId || target === entityId,
		);
		const other =
			neighbour?.source === entityId ? neighbour.target : neighbour?.source;
		const near = before.get(entityId) ?? before.get(other ?? "");
		const angle = at * 2.4;
		const away = before.has(entityId) ? 0 : 30 + 4 * Math.sqrt(at);
		return {
			id: entityId,
			x: (near?.x ?? 0) + away * Math.cos(angle),
			y: (near?.y ?? 0) + away * Math.sin(angle),
		};
	});
	const links: SimulationLinkDatum<Body>[] = edges.map(
		({ source, target }) => ({ source, target }),
	);
	const simulation = forceSimulation(bodies)
		.force(
			"link",
			forceLink<Body, SimulationLinkDatum<Body>>(links)
				.id(({ id }) => id)
				.distance(90),
		)
		.force("charge", forceManyBody().strength(-320).distanceMax(800))
		.force("collide", forceCollide(20))
		.force("x", forceX(0).strength(0.05))
		.force("y", forceY(0).strength(0.06))
		.alpha(before.size === 0 ? 1 : 0.5)
		.alphaDecay(0.03)
		.stop();
	return {
		step: () => {
			simulation.tick(3);
			return simulation.alpha() > 0.02;
		},
		positions: () => new Map(bodies.map(({ id, x, y }) => [id, { x, y }])),
	};
}

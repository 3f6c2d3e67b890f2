import type { Edge } from "../../models/types.ts";
import { membersOf } from "../../util/present.ts";
import type { EntityRef, Fused, RecallReason } from "./fuse.ts";
import { shareOfRank } from "./fuse.ts";
import { termsOf } from "./words.ts";

/** An edge of one of the best hits. */
export interface RecallEdge {
	readonly dst: string;
	/** What it passes on of its hit's score: its edges are ordered by it. */
	readonly worth: number;
	readonly share: number;
	readonly reason: Extract<RecallReason, { step: "edge" }>;
}

/** An entity that was found, with its edges. */
export interface Linked extends EntityRef {
	readonly entityKey: string | null;
	readonly graphEdges: readonly unknown[];
}

/** Hits whose edges are followed. */
const maxHits = 5;
/** Edges that are followed, those of the best hits first. */
const maxEdges = 50;
/** What an edge passes on of its hit's score: all of it, if the query has a word of its type. */
const passedOn = { asked: 1, other: 0.6 } as const;

/**
 * One step along the edges of the best hits, what the query asks for first:
 * "who manages the migration?" has a word of the type `managed_by`.
 */
export function edgesOfBest(
	hits: readonly Fused<Linked>[],
	query: string,
): RecallEdge[] {
	const stems = new Set(termsOf(query).map(stemOf));
	const edges = hits.slice(0, maxHits).flatMap(({ entity, score }) =>
		entity.graphEdges.filter(isEdge).map((edge) => ({
			edge,
			entity,
			worth:
				Math.min(score, 1) *
				(edge.weight ?? 1) *
				(isAsked(edge, stems) ? passedOn.asked : passedOn.other),
		})),
	);
	return edges
		.sort((a, b) => b.worth - a.worth)
		.slice(0, maxEdges)
		.map(({ edge, entity, worth }, at) => ({
			dst: edge.dst,
			worth,
			share: worth * shareOfRank(at + 1),
			reason: {
				step: "edge",
				rank: at + 1,
				via: entity.entityKey ?? entity.entityId,
				from: { entityType: entity.entityType, entityId: entity.entityId },
				relType: edge.rel_type,
			},
		}));
}

/** Another program may have stored anything. */
function isEdge(value: unknown): value is Edge {
	const { dst, rel_type, weight = 1 } = membersOf(value);
	return (
		typeof dst === "string" &&
		dst !== "" &&
		typeof rel_type === "string" &&
		typeof weight === "number" &&
		weight >= 0 &&
		weight <= 1
	);
}

function isAsked(edge: Edge, stems: ReadonlySet<string>): boolean {
	return termsOf(edge.rel_type.replaceAll("_", " ")).some((word) =>
		stems.has(stemOf(word)),
	);
}

/** "manages", "managed" and "manager" are one. */
function stemOf(word: string): string {
	return word.slice(0, stemLength);
}

const stemLength = 5;

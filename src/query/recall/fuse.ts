/** Which step of recall found an entity, and how. */
export type RecallReason =
	| {
			/** The query names it. */
			readonly step: "lookup";
			/** Place among the names, from 1. */
			readonly rank: number;
			/** The part of the query. */
			readonly via: string;
	  }
	| {
			/** A part of the query is nearly its name. */
			readonly step: "fuzzy";
			readonly rank: number;
			readonly via: string;
	  }
	| {
			/** By its words, or by meaning. */
			readonly step: "text" | "vector";
			/** Place on its table's list, from 1. */
			readonly rank: number;
	  }
	| {
			/** An edge leads to it from an entity that was found. */
			readonly step: "edge";
			readonly rank: number;
			/** Key of that entity; its id, where it has no key. */
			readonly via: string;
			readonly from: EntityRef;
			readonly relType: string;
	  };

export interface EntityRef {
	readonly entityType: string;
	readonly entityId: string;
}

/** An entity that a step found. */
export interface Found<Entity extends EntityRef> {
	readonly entity: Entity;
	/** What the step makes of it, 0 to 1.1: comparable between steps. */
	readonly share: number;
	readonly reasons: readonly RecallReason[];
}

export interface Fused<Entity extends EntityRef> {
	readonly entity: Entity;
	readonly score: number;
	readonly reasons: readonly RecallReason[];
}

/**
 * Each entity once, best first: its best share, and a tenth of every other
 * step's. So what only one step finds keeps that step's order, and what several
 * find rises by a place or two. Of equal scores, table and id decide.
 *
 * Of an entity that comes several times in one step its best share counts.
 */
export function fuse<Entity extends EntityRef>(
	steps: readonly (readonly Found<Entity>[])[],
): Fused<Entity>[] {
	const entities = new Map<string, Merged<Entity>>();
	for (const [step, found] of steps.entries())
		for (const { entity, share, reasons } of found) {
			const id = idOf(entity);
			const merged = entities.get(id) ?? { entity, shares: [], reasons: [] };
			entities.set(id, merged);
			merged.shares[step] = Math.max(merged.shares[step] ?? 0, share);
			merged.reasons.push(
				...reasons.filter((reason) => !isGiven(merged.reasons, reason)),
			);
		}
	return [...entities.values()]
		.map(({ entity, shares, reasons }) => ({
			entity,
			score: scoreOf(shares),
			reasons,
		}))
		.sort((a, b) => b.score - a.score || compareRefs(a.entity, b.entity));
}

interface Merged<Entity> {
	readonly entity: Entity;
	readonly shares: (number | undefined)[];
	readonly reasons: RecallReason[];
}

/** A hybrid search compares the whole query with names, as FUZZY may. */
function isGiven(
	reasons: readonly RecallReason[],
	{ step, ...reason }: RecallReason,
): boolean {
	return reasons.some(
		(given) =>
			step === "fuzzy" &&
			given.step === step &&
			"via" in reason &&
			given.via === reason.via,
	);
}

const otherSteps = 0.1;

function scoreOf(shares: readonly (number | undefined)[]): number {
	const given = shares.filter((share) => share !== undefined);
	const best = Math.max(...given);
	const sum = given.reduce((all, share) => all + share, 0);
	return best + otherSteps * (sum - best);
}

function idOf({ entityType, entityId }: EntityRef): string {
	return `${entityType}/${entityId}`;
}

function compareRefs(a: EntityRef, b: EntityRef): number {
	return idOf(a) < idOf(b) ? -1 : 1;
}

/** What a place on a list is worth: 1, 0.92, 0.85, … 0.55 of the tenth. */
export function shareOfRank(rank: number): number {
	return (rankConstant + 1) / (rankConstant + rank);
}

const rankConstant = 10;

/** A name that can hardly be anything else comes before what a search finds; a mere word does not. */
export const nameShare = { distinct: 1.1, word: 0.55 } as const;

/** By pg_trgm's similarity: 0.6 of one or two typing errors is worth a seventh place. */
export function shareOfSimilarity(similarity: number): number {
	return 0.9 * Math.sqrt(similarity);
}

import type { SearchExplanation } from "../query/explain.ts";
import type { RecallReason } from "../query/recall/fuse.ts";
import { keysOf } from "../util/present.ts";
import type { RecallExplanation } from "../verbs/recall.ts";
import type { EntityRef } from "./api/common.ts";
import type { ListPlace } from "./api/search.ts";

/** An entity on a list, whether it reached the answer or not. */
export interface ListedCandidate extends ListPlace, EntityRef {
	readonly entityKey: string | null;
}

export function recalledCandidates({
	tables,
	candidates,
}: RecallExplanation): ListedCandidate[] {
	return [
		...tableCandidates(tables),
		...candidates.map(({ reason, value, ...entity }) => ({
			...entity,
			...listPlace(reason),
			// Of a name that was looked up there is no score.
			...(reason.step === "lookup" ? {} : { value }),
		})),
	];
}

export function tableCandidates(explain: unknown): ListedCandidate[] {
	return explanationsOf(explain).flatMap(([entityType, { lists = {} }]) =>
		keysOf(lists).flatMap((list) => {
			const { weight, candidates = [] } = lists[list] ?? {};
			return candidates.map(({ id: entityId, ...candidate }) => ({
				...candidate,
				...(weight === undefined ? {} : { weight }),
				entityType,
				entityId,
				list,
			}));
		}),
	);
}

export function placesOf(
	candidates: readonly ListedCandidate[],
	{ entityType, entityId }: EntityRef,
): ListPlace[] {
	return candidates.flatMap(
		({ entityType: type, entityId: id, entityKey: _, ...place }) =>
			type === entityType && id === entityId ? [place] : [],
	);
}

export function listPlace(
	reason: RecallReason,
	{ isByName = false }: { readonly isByName?: boolean } = {},
): ListPlace {
	const { step, rank } = reason;
	return {
		list: isByName ? "name" : step,
		rank,
		...("via" in reason ? { via: reason.via } : {}),
		...("relType" in reason ? { relType: reason.relType } : {}),
	};
}

export function explanationsOf(
	explain: unknown,
): readonly (readonly [string, SearchExplanation])[] {
	if (typeof explain !== "object" || explain === null) return [];
	return Object.entries(explain as Record<string, SearchExplanation>);
}

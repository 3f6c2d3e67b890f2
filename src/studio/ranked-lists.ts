import type { EntityRef } from "./api/common.ts";
import type {
	FoundItem,
	ListName,
	RankedEntry,
	RankedList,
} from "./api/search.ts";
import type { ListedCandidate } from "./candidates.ts";
import { rowsOf } from "./detail.ts";
import { defined } from "./input.ts";
import { type Place, titleOf } from "./place.ts";
import type { Found } from "./search.ts";

const listOrder: readonly ListName[] = [
	"lookup",
	"vector",
	"text",
	"name",
	"fuzzy",
	"edge",
];

/** Of each list so many that did not reach the answer; the rest is counted. */
const maxOthers = 30;

/** Each list by its ranks; several tables have several first ones. */
export async function rankedLists(
	place: Place,
	found: Found,
): Promise<RankedList[]> {
	const candidates = found.candidates ?? foundCandidates(found);
	const lists = listOrder.flatMap((list) => {
		const listed = candidates.filter((candidate) => candidate.list === list);
		const { weight = weightOf(found, list) } = listed[0] ?? {};
		// A list with a weight that has found nothing is shown as such.
		const isShown = listed.length > 0 || (weight ?? 0) > 0;
		return isShown ? [{ list, weight, ...shownOf(found, listed) }] : [];
	});
	const titles = await titlesOf(
		place,
		found,
		lists.flatMap(({ shown }) => shown),
	);
	return lists.map(({ list, weight, shown, omitted }) => ({
		list,
		...(weight === undefined ? {} : { weight }),
		entries: shown.map((candidate) => entryOf(found, candidate, titles)),
		omitted,
	}));
}

function weightOf({ weights }: Found, list: ListName): number | undefined {
	const known: Partial<Record<ListName, number>> = weights;
	return known[list];
}

/** What was found, where nothing else is known of the lists. */
function foundCandidates({ items }: Found): ListedCandidate[] {
	return items.flatMap(({ entityType, entityId, entityKey, lists }) =>
		lists.map((on) => ({ entityType, entityId, entityKey, ...on })),
	);
}

/** By rank: all that reached the answer, and the first of those that did not. */
function shownOf(found: Found, listed: readonly ListedCandidate[]) {
	const sorted = [...listed].sort(
		(a, b) => a.rank - b.rank || (b.value ?? 0) - (a.value ?? 0),
	);
	let others = 0;
	const shown = sorted.filter(
		(candidate) =>
			itemOf(found, candidate) !== undefined || others++ < maxOthers,
	);
	return { shown, omitted: sorted.length - shown.length };
}

function itemOf(
	{ items }: Found,
	{ entityType, entityId }: EntityRef,
): FoundItem | undefined {
	return items.find(
		(item) => item.entityId === entityId && item.entityType === entityType,
	);
}

/** Of candidates that have no key, by id. */
async function titlesOf(
	place: Place,
	found: Found,
	shown: readonly ListedCandidate[],
): Promise<ReadonlyMap<string, string>> {
	const unnamed = shown.filter(
		(candidate) =>
			candidate.entityKey === null && itemOf(found, candidate) === undefined,
	);
	const rows = await rowsOf(place, unnamed);
	return new Map(
		unnamed.flatMap(({ entityType, entityId }) => {
			const row = rows.get(entityId);
			return row === undefined
				? []
				: [[entityId, titleOf(place.entity(entityType), row)] as const];
		}),
	);
}

function entryOf(
	found: Found,
	candidate: ListedCandidate,
	titles: ReadonlyMap<string, string>,
): RankedEntry {
	const { entityType, entityId, entityKey, list, rank, value, via } = candidate;
	const item = itemOf(found, candidate);
	const on = item?.lists.find((place) => place.list === list);
	return {
		entityType,
		entityId,
		title: item?.title ?? entityKey ?? titles.get(entityId) ?? entityId,
		place: item?.place ?? null,
		rank,
		value: value ?? null,
		...defined({ share: on?.share, via }),
	};
}

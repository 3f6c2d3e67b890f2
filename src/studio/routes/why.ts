import * as z from "zod";
import { RemError } from "../../errors.ts";
import { keyOfRow } from "../../models/rows.ts";
import type { RankExplanation } from "../../verbs/explain-rank.ts";
import type { VectorState } from "../api/entities.ts";
import type { WhyList, WhyResponse } from "../api/search.ts";
import { vectorState } from "../detail.ts";
import { findEntity, type NamedEntity } from "../find-entity.ts";
import {
	defined,
	type Settings,
	settingsInput,
	studioLimits,
} from "../input.ts";
import { isoTime } from "../json.ts";
import { type Place, titleOf } from "../place.ts";
import { type RouteCall, route } from "../route.ts";
import { type Found, search } from "../search.ts";
import { filterParts, type Known, reasonsOf } from "../why-reasons.ts";

export const why = route({
	method: "POST",
	path: "why",
	input: z.strictObject({
		...settingsInput,
		entityType: z.string().max(400).optional(),
		entity: z.string().min(1).max(2048),
	}),
	run: async (call: RouteCall, given): Promise<WhyResponse> => {
		const place = call.place(given);
		const { entityType, entity: name, ...settings } = given;
		const named = await findEntity(place, { entityType, entity: name });
		if (named === undefined) return unknownEntity(name);
		return explain(place, settings, named);
	},
});

function unknownEntity(name: string): WhyResponse {
	const text = `nothing in this tenant is called "${name}", and nothing has that id`;
	return {
		entity: null,
		place: null,
		verdict: text,
		reasons: [
			{
				kind: "unknown",
				text,
				remedy:
					"look for it by nearly its name (mode fuzzy), or check the tenant",
			},
		],
		lists: [],
		vectors: [],
		words: [],
		filters: [],
	};
}

async function explain(
	place: Place,
	settings: Settings,
	named: NamedEntity,
): Promise<WhyResponse> {
	const { entity, row } = named;
	const id = String(row.id);
	const { mode = "recall" } = settings;
	const found = await search(place, settings, false);
	const item = found.items.find(
		({ entityType, entityId }) =>
			entityType === entity.tableName && entityId === id,
	);
	const usesFilter = mode === "hybrid" || mode === "vector" || mode === "text";
	const rank = await explainedRank(place, settings, named);
	const vectors = await vectorsOf(place, named);
	const filters = usesFilter ? await judgedFilters(place, settings, named) : [];
	const lists = await listsOf(place, settings, { named, rank, found });
	const known: Known = {
		entity,
		row,
		settings,
		item,
		rank,
		lists,
		vectors,
		filters,
		userId: place.userId,
		isLeftOut: item === undefined && (await isLeftOut(place, settings, id)),
	};
	const reasons = reasonsOf(known);
	return {
		entity: {
			entityType: entity.tableName,
			entityId: id,
			entityKey: keyOfRow(entity, row),
			title: titleOf(entity, row),
			userId: typeof row.userId === "string" ? row.userId : null,
			deletedAt: isoTime(row.deletedAt),
		},
		place: item?.place ?? null,
		verdict: reasons[0]?.text ?? "",
		reasons,
		lists,
		vectors,
		words: rank?.words ?? [],
		filters,
	};
}

/** Where the table has vectors and words. */
async function explainedRank(
	place: Place,
	{ mode, query, weights, filter, limit = 20 }: Settings,
	{ entity, row }: NamedEntity,
): Promise<RankExplanation | undefined> {
	if (entity.embedFields.length === 0 || mode === "lookup" || mode === "fuzzy")
		return undefined;
	const isText = mode === "text";
	return place.tenant.explainRank({
		tableName: entity.tableName,
		id: String(row.id),
		query,
		limit,
		signal: place.signal,
		...(mode === undefined || mode === "recall"
			? {}
			: defined({ condition: filter })),
		...(isText
			? { weights: { vector: 0, text: 1, name: 0 } }
			: weights === undefined || mode !== "hybrid"
				? {}
				: { weights: defined(weights) }),
		...(place.userId === undefined ? {} : await scopeOfUser(place, row)),
	});
}

/** Ranks are those among the rows that the user sees; of another's row those of the tenant. */
async function scopeOfUser(
	{ userId, tenant }: Place,
	{ userId: owner }: NamedEntity["row"],
): Promise<{ userId?: string | null }> {
	const isSeen = owner === null || owner === userId;
	return isSeen && userId !== undefined && tenant.userId === undefined
		? { userId }
		: {};
}

async function vectorsOf(
	place: Place,
	{ entity, row }: NamedEntity,
): Promise<VectorState[]> {
	const states = await place
		.rows(entity, place.tenant)
		.vectorStates(String(row.id));
	return states.map(vectorState);
}

async function judgedFilters(
	place: Place,
	{ filter }: Settings,
	{ entity, row }: NamedEntity,
): Promise<WhyResponse["filters"]> {
	if (filter === undefined) return [];
	const judged: { text: string; isFulfilled: boolean }[] = [];
	for (const text of filterParts(filter)) {
		const { rows } = await place.rows(entity, place.tenant).findPage(
			{
				id: row.id,
				...(row.deletedAt === null ? {} : { deletedAt: { isNull: false } }),
			},
			{ condition: text, limit: 1 },
		);
		judged.push({ text, isFulfilled: rows.length > 0 });
	}
	return judged;
}

/** Whether a recall finds it that has room for it. */
async function isLeftOut(
	place: Place,
	settings: Settings,
	id: string,
): Promise<boolean> {
	if (settings.mode !== undefined && settings.mode !== "recall") return false;
	const { items } = await search(
		place,
		{ ...settings, maxTokens: 1_000_000 },
		false,
	);
	return items.some(({ entityId }) => entityId === id);
}

interface Ranked {
	readonly named: NamedEntity;
	readonly rank: RankExplanation | undefined;
	readonly found: Found;
}

const listsOfMode = {
	recall: ["vector", "text", "name"],
	hybrid: ["vector", "text", "name"],
	vector: ["vector"],
	text: ["text"],
	fuzzy: [],
	lookup: [],
} as const;

async function listsOf(
	place: Place,
	settings: Settings,
	{ named, rank, found }: Ranked,
): Promise<WhyList[]> {
	const { mode = "recall", limit = 20 } = settings;
	const ranked =
		rank === undefined
			? []
			: listsOfMode[mode].map((list): WhyList => {
					const { rank: at, beyond, value, weight } = rank.lists[list];
					return {
						list,
						rank: at ?? null,
						...(beyond === undefined ? {} : { beyond }),
						value: value ?? null,
						weight,
						depth: mode === "vector" ? limit : rank.depth,
					};
				});
	if (mode === "fuzzy") return [await fuzzyList(place, settings, named)];
	const id = String(named.row.id);
	const item = found.items.find(({ entityId }) => entityId === id);
	const steps = (["lookup", "fuzzy", "edge"] as const).filter(
		(step) => mode === "recall" || (mode === "lookup" && step === "lookup"),
	);
	return [
		...ranked,
		...steps.map((list): WhyList => {
			const on = item?.lists.find((place) => place.list === list);
			return { list, rank: on?.rank ?? null, value: null };
		}),
	];
}

/** Its place among the names, also below the threshold. */
async function fuzzyList(
	place: Place,
	{ query, limit = 20 }: Settings,
	{ entity, row }: NamedEntity,
): Promise<WhyList> {
	const hits = await place.scope
		.fuzzySearch({
			query,
			threshold: 0.05,
			limit: 10 * studioLimits.searchLimit,
			entityType: entity.tableName,
		})
		.catch((error: unknown) => {
			if (error instanceof RemError && error.code === "INPUT_LIMIT") return [];
			throw error;
		});
	const at = hits.findIndex(({ entityId }) => entityId === row.id);
	return {
		list: "fuzzy",
		rank: at < 0 ? null : at + 1,
		value: hits[at]?.score ?? null,
		depth: limit,
	};
}

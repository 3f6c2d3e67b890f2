import type { Entity } from "../models/entity.ts";
import type { RankExplanation } from "../verbs/explain-rank.ts";
import type { VectorState } from "./api/entities.ts";
import type {
	FoundItem,
	WhyList,
	WhyReason,
	WhyResponse,
} from "./api/search.ts";
import type { Settings } from "./input.ts";
import type { StoredRow } from "./place.ts";

/** What is known of an entity and a search. */
export interface Known {
	readonly entity: Entity;
	readonly row: StoredRow;
	readonly settings: Settings;
	/** Where it was found. */
	readonly item: FoundItem | undefined;
	readonly rank: RankExplanation | undefined;
	readonly lists: readonly WhyList[];
	readonly vectors: readonly VectorState[];
	readonly filters: WhyResponse["filters"];
	/** Whose rows are searched. */
	readonly userId: string | null | undefined;
	/** Whether a recall had no room for it. */
	readonly isLeftOut: boolean;
}

/** Why the entity is found, or is not: first what excludes it, then what lowers its rank. */
export function reasonsOf(known: Known): WhyReason[] {
	const { item } = known;
	const excluded = [...ofRow(known), ...ofTable(known), ...ofFilter(known)];
	if (item !== undefined) return [found(item), ...ofVectors(known)];
	if (excluded.length > 0) return excluded;
	const reasons = [
		...ofRoom(known),
		...ofVectors(known),
		...ofWords(known),
		...ofNames(known),
		...ofRanks(known),
	];
	return reasons.length > 0
		? reasons
		: [
				{
					kind: "below-limit",
					text: "other entities are nearer to the query on every list",
					remedy: "raise the limit, or use words that the entity has",
				},
			];
}

function found({ place, lists }: FoundItem): WhyReason {
	const on = lists.map(({ list, rank, via, relType }) =>
		list === "edge"
			? `by an edge ${relType ?? ""} from ${via ?? "another entity"}`
			: `number ${rank} ${phrases[list]}`,
	);
	return {
		kind: "found",
		text: `found at place ${place}: ${on.join(", ")}`,
	};
}

const phrases: Readonly<Record<WhyList["list"], string>> = {
	vector: "by meaning",
	text: "by words",
	name: "by its name's likeness",
	lookup: "by its name",
	fuzzy: "by nearly its name",
	edge: "by an edge",
};

function ofRow({ row, userId }: Known): WhyReason[] {
	const reasons: WhyReason[] = [];
	if (row.deletedAt !== null)
		reasons.push({
			kind: "deleted",
			text: "it is deleted: no search finds it",
			remedy: "restore it",
			action: "restore",
		});
	const owner = row.userId;
	if (userId !== undefined && typeof owner === "string" && owner !== userId)
		reasons.push({
			kind: "other-user",
			text: `it belongs to the user "${owner}", and the search is about ${userId === null ? "shared rows" : `"${userId}"`}`,
			remedy: "search as that user, or as the whole tenant",
		});
	return reasons;
}

function ofTable({ entity, settings }: Known): WhyReason[] {
	const { tables, mode = "recall" } = settings;
	const { tableName } = entity;
	if (tables !== undefined && tables.length > 0 && !tables.includes(tableName))
		return [
			{
				kind: "other-table",
				text: `it is in "${tableName}", which is not among the tables that are searched`,
				remedy: "add the table, or search all of them",
			},
		];
	const needsVectors =
		mode === "hybrid" || mode === "vector" || mode === "text";
	if (needsVectors && entity.embedFields.length === 0)
		return [
			{
				kind: "other-table",
				text: `"${tableName}" has no embedded fields: its rows are found by name only`,
				remedy: "mark a text field of the model with .meta({ embed: true })",
			},
		];
	return [];
}

function ofFilter({ filters }: Known): WhyReason[] {
	const failing = filters.filter(({ isFulfilled }) => !isFulfilled);
	if (failing.length === 0) return [];
	return [
		{
			kind: "filter",
			text: `the filter excludes it: ${failing.map(({ text }) => text).join(" AND ")}`,
			remedy: "change the filter, or the entity's fields",
		},
	];
}

function ofRoom({ isLeftOut }: Known): WhyReason[] {
	if (!isLeftOut) return [];
	return [
		{
			kind: "no-room",
			text: "it is among the best, and there was no room for its text",
			remedy: "raise maxTokens",
		},
	];
}

const searched = new Set(["recall", "hybrid", "vector"]);

function ofVectors({ vectors, settings, entity }: Known): WhyReason[] {
	if (!searched.has(settings.mode ?? "recall")) return [];
	if (entity.embedFields.length === 0) return [];
	const texts = vectors.filter(({ state }) => state !== "empty");
	if (texts.length === 0)
		return [
			{
				kind: "no-vector",
				text: `it has no text to be found by: ${entity.embedFields.map(({ name }) => name).join(", ")} ${entity.embedFields.length === 1 ? "is" : "are"} empty`,
				remedy: "write the text",
			},
		];
	return texts.flatMap(({ state, field, reason, model }): WhyReason[] => {
		const text = `the text of "${field}"`;
		switch (state) {
			case "dead":
				return [
					{
						kind: "dead-letter",
						text: `${text} has no vector of ${model}: it was dead-lettered${reason === null ? "" : ` (${reason})`}`,
						remedy: "correct the text or the provider, then embed it again",
						action: "embed",
					},
				];
			case "queued":
				return [
					{
						kind: "queued",
						text: `${text} waits for its vector${reason === null ? "" : ` (last failure: ${reason})`}`,
						remedy: "run a worker, or embed it now",
						action: "embed",
					},
				];
			case "missing":
			case "stale":
				return [
					{
						kind: "no-vector",
						text: `${text} has ${state === "stale" ? "the vector of an older text" : "no vector"}, and is not queued`,
						remedy: "embed it now, or run rem embeddings sync",
						action: "embed",
					},
				];
			default:
				return [];
		}
	});
}

function ofWords({ rank, settings }: Known): WhyReason[] {
	const { mode = "recall" } = settings;
	if (rank === undefined || mode === "vector") return [];
	if (rank.words.length === 0 || rank.words.some(({ isFound }) => isFound))
		return [];
	return [
		{
			kind: "no-words",
			text: `it has none of the query's words: ${rank.words.map(({ word }) => word).join(", ")}`,
			remedy: "use words that it has, or search by meaning",
		},
	];
}

function ofNames({ settings, lists, entity }: Known): WhyReason[] {
	const { mode = "recall", threshold = 0.3 } = settings;
	if (mode === "lookup")
		return [
			{
				kind: "not-named",
				text: entity.createKvTrigger
					? "its key is another one than the query"
					: "its table has no natural key to look up",
				remedy:
					"write its key as it is; case, spaces and hyphens do not matter",
			},
		];
	const [list] = lists;
	if (mode !== "fuzzy" || list === undefined) return [];
	if (list.value !== null && list.value >= threshold) return [];
	return [
		{
			kind: "below-threshold",
			text: `the query is ${list.value === null ? "hardly" : list.value.toFixed(2)} like its key, and ${threshold} is required`,
			remedy: "lower the threshold, or write more of the name",
		},
	];
}

function ofRanks({ lists, settings }: Known): WhyReason[] {
	const { limit = 20 } = settings;
	const ranked = lists.filter(
		({ rank, beyond, weight }) =>
			(rank !== null || beyond !== undefined) && weight !== 0,
	);
	if (ranked.length === 0) return [];
	const places = ranked.map(
		({ list, rank, beyond, depth }) =>
			`${rank === null ? `beyond number ${beyond}` : `number ${rank}`} ${phrases[list]}${depth !== undefined && rank !== null && rank > depth ? ` (only ${depth} count)` : ""}`,
	);
	return [
		{
			kind: "below-limit",
			text: `others come before it: it is ${places.join(", ")}, and ${limit} are shown`,
			remedy: "raise the limit, or change the weights",
		},
	];
}

/** Parts of a condition that must all be true: split at each AND that is outside parentheses and texts. */
export function filterParts(condition: string): string[] {
	const pieces =
		/'(?:[^']|'')*'|"(?:[^"]|"")*"|[\p{L}_][\p{L}\p{N}_]*|[\s\S]/gu;
	const parts: string[] = [];
	let depth = 0;
	let begin = 0;
	let isBetween = false;
	for (const { 0: piece, index } of condition.matchAll(pieces)) {
		if (piece === "(" || piece === "[") depth++;
		if (piece === ")" || piece === "]") depth--;
		if (depth > 0) continue;
		const word = piece.toUpperCase();
		// What it is part of can only be judged as a whole.
		if (word === "OR") return [condition.trim()];
		if (word === "BETWEEN") isBetween = true;
		if (word !== "AND") continue;
		if (!isBetween) {
			parts.push(condition.slice(begin, index).trim());
			begin = index + piece.length;
		}
		isBetween = false;
	}
	return [...parts, condition.slice(begin).trim()].filter(
		(part) => part !== "",
	);
}

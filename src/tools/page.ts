import { createHash } from "node:crypto";
import { RemError } from "../errors.ts";
import { limits } from "../models/limits.ts";
import { type BoundedItems, boundedItems, type Item } from "./bounded-items.ts";

/** Arguments of a tool that answers with a list. */
export interface PageInput {
	readonly limit?: number | undefined;
	readonly maxTokens?: number | undefined;
	readonly cursor?: string | undefined;
}

/** Where a page of results begins, and how long it may be. */
export interface Page {
	/** Results before it. */
	readonly offset: number;
	readonly limit: number;
	readonly maxTokens: number;
	/** Results to ask the service for: one more than the page has shows whether there are more. */
	readonly needed: number;
	/** Where to read on behind so many results of the page. */
	cursorAt(results: number): string;
}

export const usualLimit = 10;

/** Throws `VALIDATION` where the cursor is not one of this very call. */
export function openPage(
	name: string,
	{ cursor, limit, maxTokens, ...others }: PageInput,
	largestMaxTokens: number,
): Page {
	const fingerprint = createHash("sha256")
		.update(JSON.stringify([name, others]))
		.digest("base64url")
		.slice(0, 12);
	const offset = cursor === undefined ? 0 : readCursor(cursor, fingerprint);
	const size = limit ?? usualLimit;
	return {
		offset,
		limit: size,
		maxTokens: Math.min(maxTokens ?? largestMaxTokens, largestMaxTokens),
		needed: Math.min(offset + size + 1, limits.resultRows),
		cursorAt: (results) =>
			Buffer.from(`${offset + results}.${fingerprint}`).toString("base64url"),
	};
}

/**
 * The limit of a search whose lists are fused. How deep they are read depends on
 * it, so the first results of two limits may differ: pages of one search ask for
 * the same number.
 */
export function fusedLimit(needed: number, most: number): number {
	return Math.min(needed <= 50 ? 50 : needed <= 200 ? 200 : needed, most);
}

function readCursor(text: string, fingerprint: string): number {
	const [offset, of] = Buffer.from(text, "base64url").toString().split(".");
	const place = Number(offset);
	const isKnown =
		of === fingerprint &&
		Number.isSafeInteger(place) &&
		place >= 0 &&
		place < limits.resultRows;
	if (isKnown) return place;
	throw new RemError("VALIDATION", "the cursor is not of this call", {
		hint: "pass the cursor of the answer before, with the same other arguments; or leave it out",
		issues: [{ field: "cursor", message: "is not of this call" }],
	});
}

/** A page of results, with how to read on. */
export interface PageAnswer extends BoundedItems {
	/** Results, among the page's `limit`, that did not fit. */
	readonly omitted: number;
	readonly cursor?: string;
}

/** What the service reports besides the results that it returned. */
export interface MoreResults {
	/** Results that it found and left out. @default 0 */
	readonly omitted?: number;
	/** Whether there may be more behind the last. @default false */
	readonly isOpen?: boolean;
	/** Results that it can be asked for. @default limits.resultRows */
	readonly most?: number;
	/** The first of the page's results, as many as fit. @default whole ones */
	readonly pack?: typeof boundedItems;
}

/** The page's items out of the results from the first. */
export function pageOf(
	page: Page,
	found: readonly Item[],
	{
		omitted = 0,
		isOpen = false,
		most = limits.resultRows,
		pack = boundedItems,
	}: MoreResults = {},
): PageAnswer {
	const here = found.slice(page.offset, page.offset + page.limit);
	const { items, tokens } = pack(here, page.maxTokens);
	const end = page.offset + items.length;
	const left = Math.max(found.length - end, 0) + omitted;
	const allowed = Math.min(left, page.limit - items.length);
	const isLast = (left === 0 && !isOpen) || end >= most || items.length === 0;
	return {
		items,
		tokens,
		omitted: Math.max(allowed, 0),
		...(isLast ? {} : { cursor: page.cursorAt(items.length) }),
	};
}

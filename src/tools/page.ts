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
	/** Tokens of the results before it. */
	readonly tokensBefore: number;
	readonly limit: number;
	readonly maxTokens: number;
	/** Results to ask the service for: one more than the page has shows whether there are more. */
	readonly needed: number;
	/** Where to read on behind so many results of the page, of so many tokens. */
	cursorAt(results: number, tokens: number): string;
}

const usualLimit = 10;

/** Throws `VALIDATION` where the cursor is not one of this very call. */
export function openPage(
	name: string,
	{ cursor, limit, maxTokens, ...others }: PageInput,
	mostTokens: number,
): Page {
	const fingerprint = createHash("sha256")
		.update(JSON.stringify([name, others]))
		.digest("base64url")
		.slice(0, 12);
	const [offset, tokensBefore] =
		cursor === undefined ? [0, 0] : readCursor(cursor, fingerprint);
	const size = limit ?? usualLimit;
	return {
		offset,
		tokensBefore,
		limit: size,
		maxTokens: Math.min(maxTokens ?? mostTokens, mostTokens),
		needed: Math.min(offset + size + 1, limits.resultRows),
		cursorAt: (results, tokens) =>
			Buffer.from(
				[offset + results, tokensBefore + tokens, fingerprint].join("."),
			).toString("base64url"),
	};
}

function readCursor(text: string, fingerprint: string): [number, number] {
	const [offset, tokens, of] = Buffer.from(text, "base64url")
		.toString()
		.split(".");
	const numbers = [Number(offset), Number(tokens)] as const;
	const isKnown =
		of === fingerprint &&
		numbers.every((number) => Number.isSafeInteger(number) && number >= 0) &&
		numbers[0] < limits.resultRows;
	if (isKnown) return [...numbers];
	throw new RemError("VALIDATION", "the cursor is not of this call", {
		hint: "pass the cursor of the answer before, with the same other arguments; or leave it out",
		issues: [{ field: "cursor", message: "is not of this call" }],
	});
}

/** A page of results, with how to read on. */
export interface PageAnswer extends BoundedItems {
	/** Results that were found and did not fit. */
	readonly omitted: number;
	readonly cursor?: string;
}

/** The page's items out of the results from the first; `more` is what the service itself left out. */
export function pageOf(
	page: Page,
	found: readonly Item[],
	more = 0,
): PageAnswer {
	const here = found.slice(page.offset, page.offset + page.limit);
	const { items, tokens } = boundedItems(here, page.maxTokens);
	const omitted = Math.max(found.length - page.offset - items.length, 0) + more;
	const isLast =
		omitted === 0 || page.offset + items.length >= limits.resultRows;
	return {
		items,
		tokens,
		omitted,
		...(isLast ? {} : { cursor: page.cursorAt(items.length, tokens) }),
	};
}

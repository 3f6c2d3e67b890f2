import type {
	SearchResponse,
	SearchSettings,
} from "../../../../src/studio/api/search.ts";
import { api } from "../../lib/api.ts";

/** An answer with the settings that it answers: the form may have newer ones already. */
export interface Searched {
	readonly settings: SearchSettings;
	readonly answer: SearchResponse;
	/** Different for each answer. */
	readonly answeredAt: number;
}

export async function searchFor(
	settings: SearchSettings,
	signal: AbortSignal,
): Promise<Searched> {
	const answer = await api.search(settings, signal);
	return { settings, answer, answeredAt: performance.now() };
}

/**
 * The same search with its plan, and with what its lists have ranked. It takes
 * several times as long, so that the answer is shown first.
 */
export function explain(
	{ settings }: Pick<Searched, "settings" | "answeredAt">,
	signal: AbortSignal,
): Promise<SearchResponse> {
	return api.search({ ...settings, explain: true }, signal);
}

/** Reads a header of an answer by its lower-case name. */
export type HeaderReader = (name: string) => string | null | undefined;

/**
 * How long the provider asks to wait, in milliseconds: `retry-after-ms`
 * (OpenAI) before `retry-after` in seconds or as an HTTP date (RFC 9110, 10.2.3).
 */
export function retryAfterMs(headers: HeaderReader): number | undefined {
	const milliseconds = numberIn(headers("retry-after-ms"));
	if (milliseconds !== undefined) return milliseconds;
	const after = headers("retry-after");
	const seconds = numberIn(after);
	if (seconds !== undefined) return seconds * 1000;
	// Date.parse would take "-5" for a year.
	const until = after?.endsWith("GMT") ? Date.parse(after) : Number.NaN;
	return Number.isNaN(until) ? undefined : Math.max(0, until - Date.now());
}

function numberIn(text: string | null | undefined): number | undefined {
	return typeof text === "string" && /^\s*\d+(\.\d+)?\s*$/.test(text)
		? Number(text)
		: undefined;
}

import { membersOf } from "../util/present.ts";
import { errorReason, isErrorAnswer } from "./error-reason.ts";
import { CallFailure, unreadable } from "./failure.ts";
import { quotable } from "./quotable.ts";
import { statusFailure } from "./status-failure.ts";
import { brokenOff, systemCode, unreachable } from "./thrown-failure.ts";

export interface JsonRequest {
	readonly url: string;
	readonly apiKey?: string | undefined;
	readonly body: unknown;
	/** The request, which bounds the length of the answer. */
	readonly vectors: VectorsAsked;
	readonly signal?: AbortSignal | undefined;
}

export interface VectorsAsked {
	readonly count: number;
	/** Max. numbers that one of them can have. */
	readonly numbers: number;
}

/** Of a model whose dimensions are unknown: the maximum of a column `vector`. */
export const maxNumbers = 16_000;

// 24 characters for a double and 8 for indentation, a line break and a comma.
const bytesPerNumber = 32;
const bytesPerVector = 1024;
const bytesAround = 65_536;

/** Of an error's body, which needs no more than a code. */
const errorBytes = 65_536;

/**
 * Max. bytes that an answer can have, decompressed. It may repeat the texts of
 * the request, with each character escaped.
 */
export function answerLimit(
	{ count, numbers }: VectorsAsked,
	requestBytes: number,
): number {
	return (
		bytesAround +
		3 * requestBytes +
		count * (bytesPerVector + numbers * bytesPerNumber)
	);
}

/**
 * Posts JSON and returns the object that comes back; anything else is thrown as
 * a `CallFailure`. Made once: trying again is the caller's business. Of an
 * error's body only the error code is looked at, because it may quote key and
 * texts.
 */
export async function postJson(request: JsonRequest): Promise<object> {
	const payload = JSON.stringify(request.body);
	const limit = answerLimit(request.vectors, Buffer.byteLength(payload));
	const { response, text, excess } = await exchange(request, payload, limit);
	const { status } = response;
	const failureOf = (body: object) =>
		statusFailure(status, (name) => response.headers.get(name), {
			body: errorReason(body, { status, texts: textsOf(request).length }),
			words: quotable(body, textsOf(request), request.apiKey),
		});
	if (!response.ok) throw failureOf(objectIn(text) ?? pageOf(text));
	if (excess !== undefined) throw tooLong(excess, limit, request.vectors);
	const answer = objectIn(text) ?? eventIn(text);
	if (answer === undefined) throw unreadable(kindOf(text, status));
	if (isErrorAnswer(answer)) throw failureOf(answer);
	return answer;
}

/** The title represents the page. */
function pageOf(text: string): object {
	return {
		message: text,
		title: /<title[^>]{0,100}>([^<]{1,200})/i.exec(text)?.[1],
	};
}

/** The only object of a stream of events: a server that streams its answer whole, or its error. */
function eventIn(text: string): object | undefined {
	if (!/^(?:data|event|id|retry)?:/.test(text)) return undefined;
	const events = text
		.split(/\r?\n/)
		.filter((line) => line.startsWith("data:"))
		.map((line) => objectIn(line.slice("data:".length)))
		.filter((event) => event !== undefined);
	return events.length === 1 ? events[0] : undefined;
}

function kindOf(text: string, status: number): string {
	if (text.trim() === "") return `an empty body (status ${status})`;
	if (/^\s*</.test(text)) return "a page that is not JSON";
	return "something that is not JSON";
}

/** The address without slashes at its end. An expression for them would take the square of their number. */
export function withoutSlashes(url: string): string {
	let end = url.length;
	while (url[end - 1] === "/") end--;
	return url.slice(0, end);
}

async function exchange(
	request: JsonRequest,
	payload: string,
	limit: number,
): Promise<Body & { response: Response }> {
	const { url, apiKey, signal } = request;
	let response: Response | undefined;
	try {
		response = await fetch(url, {
			method: "POST",
			headers: {
				"content-type": "application/json",
				accept: "application/json",
				...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
			},
			body: payload,
			redirect: "manual",
			signal: signal ?? null,
		});
		const body = await readBody(response, response.ok ? limit : errorBytes);
		return { response, ...body };
	} catch (error) {
		// Its message may quote the address and, if it is malformed, the key.
		throw response === undefined
			? lost(error, request)
			: brokenOff(systemCode(error));
	}
}

interface Body {
	readonly text: string;
	/** How long it is at least, where it is longer than the limit: the rest is not read. */
	readonly excess?: number;
}

/** Piece by piece: a few kilobytes may decompress to gigabytes. */
async function readBody(response: Response, limit: number): Promise<Body> {
	const { body } = response;
	if (body === null) return { text: "" };
	const announced = Number(response.headers.get("content-length"));
	if (announced > limit) {
		await body.cancel();
		return { text: "", excess: announced };
	}
	const pieces: Uint8Array[] = [];
	let size = 0;
	// Leaving the loop ends the connection.
	for await (const piece of body as AsyncIterable<Uint8Array>) {
		size += piece.byteLength;
		if (size > limit) return { text: "", excess: size };
		pieces.push(piece);
	}
	return { text: new TextDecoder().decode(Buffer.concat(pieces)) };
}

function tooLong(
	size: number,
	limit: number,
	{ count, numbers }: VectorsAsked,
): CallFailure {
	return new CallFailure(
		"broken",
		`answered with ${size} bytes or more, at most ${limit} are read for ${count === 1 ? "1 vector" : `${count} vectors`} of up to ${numbers} numbers`,
		{
			hint: "check the provider's address (EMBEDDING__BASE_URL) and the model",
			isDoubtful: true,
		},
	);
}

/** `fetch` throws a TypeError for a lost connection as for an address or a key it cannot send. */
function lost(error: unknown, request: JsonRequest): CallFailure {
	if (isSendable(request)) return unreachable(systemCode(error));
	return new CallFailure("setup", "cannot be asked with this address or key", {
		hint: "check EMBEDDING__BASE_URL, and the key for line breaks and letters beyond ASCII",
	});
}

function isSendable({ url, apiKey = "" }: JsonRequest): boolean {
	try {
		new Headers({ authorization: `Bearer ${apiKey}` });
		const { username, password } = new URL(url);
		return username === "" && password === "";
	} catch {
		// One of them is malformed, which is what was asked.
		return false;
	}
}

/** The texts of the request, in either protocol. */
function textsOf({ body }: JsonRequest): string[] {
	const { input, texts } = membersOf(body);
	return [input, texts].flat().filter((text) => typeof text === "string");
}

function objectIn(text: string): object | undefined {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === "object" && value !== null ? value : undefined;
	} catch {
		// Not JSON, which the caller reports; the parser's message would quote the text.
		return undefined;
	}
}

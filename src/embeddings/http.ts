import { errorReason, isErrorAnswer } from "./error-reason.ts";
import { CallFailure, unreadable } from "./failure.ts";
import { statusFailure } from "./status-failure.ts";
import { systemCode, unreachable } from "./thrown-failure.ts";

export interface JsonRequest {
	readonly url: string;
	readonly apiKey?: string | undefined;
	readonly body: unknown;
	readonly signal?: AbortSignal | undefined;
}

/**
 * Posts JSON and returns the object that comes back; anything else is thrown as
 * a `CallFailure`. Made once: trying again is the caller's business. Of an
 * error's body only the error code is looked at, because it may quote key and
 * texts.
 */
export async function postJson(request: JsonRequest): Promise<object> {
	const { response, text } = await exchange(request);
	if (!response.ok)
		throw statusFailure(
			response.status,
			(name) => response.headers.get(name),
			errorReason(objectIn(text) ?? { message: text }, {
				status: response.status,
				texts: textsOf(request),
			}),
		);
	const answer = objectIn(text);
	if (answer === undefined) throw unreadable("something that is not JSON");
	if (isErrorAnswer(answer))
		throw statusFailure(
			response.status,
			(name) => response.headers.get(name),
			errorReason(answer, {
				status: response.status,
				texts: textsOf(request),
			}),
		);
	return answer;
}

async function exchange(
	request: JsonRequest,
): Promise<{ response: Response; text: string }> {
	const { url, apiKey, body, signal } = request;
	try {
		const response = await fetch(url, {
			method: "POST",
			headers: {
				"content-type": "application/json",
				accept: "application/json",
				...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
			},
			body: JSON.stringify(body),
			redirect: "manual",
			signal: signal ?? null,
		});
		return { response, text: await response.text() };
	} catch (error) {
		// Its message may quote the address and, if it is malformed, the key.
		throw lost(error, request);
	}
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

/** How many texts the request has, in either protocol. */
function textsOf({ body }: JsonRequest): number {
	const { input, texts } = body as { input?: unknown; texts?: unknown };
	return [input, texts].flat().filter((text) => text !== undefined).length;
}

function objectIn(text: string): object | undefined {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === "object" && value !== null ? value : undefined;
	} catch {
		// Not JSON, which the caller says; the parser's message would quote the text.
		return undefined;
	}
}

import { RemError } from "../errors.ts";
import { errorReason } from "./error-reason.ts";
import { CallFailure } from "./failure.ts";
import type { HeaderReader } from "./retry-after.ts";
import { statusFailure } from "./status-failure.ts";

/**
 * Whatever a provider threw, as a failure: by its HTTP status, its system error
 * code or its name; without any of these it is taken for the text's fault.
 */
export function failureOf(thrown: unknown): CallFailure {
	if (thrown instanceof CallFailure) return thrown;
	if (thrown instanceof RemError) return ownFailure(thrown);
	const members = membersOf(thrown);
	const { status, statusCode, headers, responseHeaders, isRetryable } = members;
	for (const number of [status, statusCode])
		if (typeof number === "number")
			return statusFailure(
				number,
				readerOf(headers ?? responseHeaders),
				errorReason(bodyOf(members), { status: number }),
			);
	const code = systemCode(thrown);
	if (code !== undefined || isRetryable === true) return unreachable(code);
	const name = nameOf(thrown);
	return new CallFailure(
		setupNames.has(name) ? "setup" : "text",
		`failed with ${name}`,
	);
}

/** The answer as the clients of OpenAI and the AI SDK hand it on, and what they made of it. */
function bodyOf(error: Readonly<Record<string, unknown>>): unknown {
	const { error: inner, data, responseBody, code, type } = error;
	return [{ error: inner, code, type }, data, parsed(responseBody)];
}

function parsed(text: unknown): unknown {
	try {
		return typeof text === "string" ? JSON.parse(text) : undefined;
	} catch {
		// A page of a gateway: the status alone tells.
		return undefined;
	}
}

/** A provider may throw our own error: its words are meant to be read. */
function ownFailure({ code, message, hint }: RemError): CallFailure {
	const kind =
		code === "PROVIDER_NOT_CONFIGURED"
			? "setup"
			: code === "PROVIDER_RATE_LIMITED"
				? "busy"
				: "broken";
	return new CallFailure(kind, `failed: ${message}`, { hint });
}

export function unreachable(code: string | undefined): CallFailure {
	return new CallFailure(
		"down",
		`could not be reached${code === undefined ? "" : ` (${code})`}`,
		{ hint: "check its address and the network; nothing was stored" },
	);
}

// ECONNREFUSED, EAI_AGAIN and undici's own; an invalid certificate is none of them.
const systemCodes = /^(E[A-Z]+|EAI_AGAIN|UND_ERR_[A-Z_]+)$/;

/** The code of the system error behind an error of `fetch`, a few causes down. */
export function systemCode(thrown: unknown): string | undefined {
	let error = membersOf(thrown);
	for (let depth = 0; depth < 4; depth++) {
		const { code, cause } = error;
		if (typeof code === "string" && systemCodes.test(code)) return code;
		error = membersOf(cause);
	}
	return undefined;
}

/** Errors of the AI SDK that no other text would avoid. */
const setupNames = new Set([
	"AI_LoadAPIKeyError",
	"AI_LoadSettingError",
	"AI_NoSuchModelError",
]);

function nameOf(thrown: unknown): string {
	const name = thrown instanceof Error ? thrown.name : typeof thrown;
	return /^\w{1,40}$/.test(name) ? name : "an error";
}

/** Headers as `fetch` has them, or a plain object with lower-case names. */
function readerOf(headers: unknown): HeaderReader {
	if (headers instanceof Headers) return (name) => headers.get(name);
	return (name) => {
		const value = membersOf(headers)[name];
		return typeof value === "string" ? value : undefined;
	};
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
	return typeof value === "object" && value !== null
		? (value as Readonly<Record<string, unknown>>)
		: {};
}

import { RemError } from "../errors.ts";
import { membersOf } from "../util/present.ts";
import { errorReason } from "./error-reason.ts";
import { CallFailure, type FailureKind } from "./failure.ts";
import type { HeaderReader } from "./retry.ts";
import { statusFailure } from "./status-failure.ts";

/**
 * Whatever a provider threw, as a failure: by its HTTP status, its system error
 * code or its name; without any of these it is taken for the text's fault.
 */
export function failureOf(thrown: unknown): CallFailure {
	if (thrown instanceof CallFailure) return thrown;
	if (thrown instanceof RemError) return ownFailure(thrown);
	const members = membersOf(thrown);
	// The AI SDK's, after tries of its own.
	if (members.lastError !== undefined) return failureOf(members.lastError);
	const status = statusOf(members);
	if (status !== undefined)
		return statusFailure(
			status,
			readerOf(members.headers ?? members.responseHeaders),
			{ body: errorReason(bodyOf(members), { status }) },
		);
	const code = systemCode(thrown);
	if (code !== undefined || members.isRetryable === true)
		return unreachable(code);
	const name = nameOf(thrown);
	return new CallFailure(kindOf(name), `failed with ${name}`);
}

/** As `fetch`, the AI SDK, axios, Google's and Amazon's clients put it. */
function statusOf(error: Members): number | undefined {
	const { status, statusCode, code, response, $metadata } = error;
	const candidates = [
		status,
		statusCode,
		membersOf(response).status,
		membersOf($metadata).httpStatusCode,
		code,
	];
	return candidates
		.filter((one) => /^[3-5]\d\d$/.test(String(one)))
		.map(Number)
		.find((one) => one !== undefined);
}

function kindOf(name: string): FailureKind {
	if (setupNames.has(name)) return "setup";
	if (answerNames.has(name)) return "answer";
	return /timeout|abort|connection/i.test(name) ? "down" : "text";
}

/** The answer as the clients of OpenAI and the AI SDK hand it on, and what they made of it. */
function bodyOf(error: Members): unknown {
	const { error: inner, data, responseBody, response, code, type } = error;
	return [
		{ error: inner, code, type },
		data,
		parsed(responseBody),
		membersOf(response).data,
	];
}

function parsed(text: unknown): unknown {
	try {
		return typeof text === "string" ? JSON.parse(text) : undefined;
	} catch {
		// A page of a gateway: the status alone counts.
		return undefined;
	}
}

/** A provider may throw our own error: its message is meant for the user. */
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
		{ hint: "check its address and the network" },
	);
}

/** After its headers. */
export function brokenOff(code: string | undefined): CallFailure {
	return new CallFailure(
		"down",
		`broke off its answer${code === undefined ? "" : ` (${code})`}`,
		{ hint: "try again later" },
	);
}

// ECONNREFUSED, EAI_AGAIN, undici's own, and those of a body that cannot be
// decompressed; an invalid certificate is none of them.
const systemCodes = /^(E[A-Z]+|EAI_AGAIN|UND_ERR_[A-Z_]+|Z_[A-Z_]+)$/;

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

/** And those for an answer that it could not read. */
const answerNames = new Set([
	"AI_EmptyResponseBodyError",
	"AI_InvalidResponseDataError",
	"AI_JSONParseError",
	"AI_TypeValidationError",
]);

/** Some clients leave `name` as it is, and have a class of their own. */
function nameOf(thrown: unknown): string {
	const given = thrown instanceof Error ? thrown.name : typeof thrown;
	const name =
		thrown instanceof Error && given === "Error"
			? thrown.constructor.name
			: given;
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

type Members = ReturnType<typeof membersOf>;

import { keysOf, membersOf } from "../util/present.ts";
/** The cause of an error by its body, in the terms of OpenAI's API. */
export interface ErrorReason {
	/** A word we know; anything else might quote the key or a text. */
	readonly reason?: Reason;
	/** The HTTP status that a proxy, or an error inside a 200, states in the body. */
	readonly status?: number;
	/** The maximum of texts per call, if the message seems to state it: to be verified by a call. */
	readonly maxTexts?: number;
	/** Whether the message is about the size of the call: fewer texts, or a shorter one, may pass. */
	readonly isSize?: boolean;
	/** Whether it reads like an API's own error, not like a page or the word of a gateway. */
	readonly isApis?: boolean;
	/** Whether it names `encoding_format`, or reports an unknown field. */
	readonly isAboutEncoding?: boolean;
}

export type Reason = keyof typeof patterns;

/**
 * How servers and proxies write the reasons that decide what to do. More than
 * one may be in a body: the first of this list that is there counts, since a
 * rate limit that is really an empty account does not end with time.
 */
const patterns = {
	insufficient_quota:
		/^(?:(?:code_)?insufficient[_ ]?(?:user[_ ]?|account[_ ]?)?(?:quota|balance|credits?|funds)|(?:quota|dailyLimit|daily_limit)_?exceeded|billing_not_active|account_(?:deactivated|overdue)|arrearage|payment_required|out_of_credits?|credit_balance_(?:too_)?low|pre_consume_token_quota_failed)$/i,
	billing_hard_limit_reached: /^billing_hard_limit_reached$/i,
	invalid_api_key:
		/^(?:invalid_?api_?key|api_?key_?(?:invalid|expired|service_blocked)|(?:invalid|expired)_?token|token_?(?:invalid|expired)|authentication_?error|unauthenticated|unauthorized|invalid_?authentication)$/i,
	permission_denied:
		/^(?:permission_?denied|permission_error|access_denied|missing_scope|insufficient_permissions?)$/i,
	rate_limit_exceeded:
		/^(?:(?:user_?)?rate_?limit(?:_?exceeded|_?error|_?reached)?|resource_?exhausted|too_?many_?requests|throttl(?:ed|ing)(?:[._]\w+)?|requests|tokens)$/i,
	model_not_found:
		/^(?:model_?not_?(?:found|exists?|supported|available)|deployment_?not_?found|(?:invalid|unknown|no_such|unsupported)_?model(?:_error)?)$/i,
	context_length_exceeded: /^context_length_exceeded$/i,
	max_tokens_per_request: /^max_tokens_per_request$/i,
	unsupported_country_region_territory:
		/^(?:unsupported_(?:country|region|location)\w{0,30}|(?:region|country|location)_not_supported)$/i,
} as const satisfies Record<string, RegExp>;

/** The same, where only the sentence for humans has it. */
const accountSpent =
	/insufficient[_ ](?:user |account )?(?:quota|balance|credits?|funds)|(?:monthly|daily|free|account|included|total) (?:quota|credits?|limit) (?:is |has been |was )?(?:exhausted|exceeded|used up|reached)|quota (?:is |has been |was )?(?:exhausted|used up|depleted)|run out of (?:tokens|credits?|quota|funds)|exceeded your (?:monthly|daily|free|included)|credit balance is too low|out of credits|no credits? (?:left|remaining)|billing hard limit|account (?:is )?(?:in arrears|overdue)/i;

const sentences: readonly (readonly [Reason, RegExp])[] = [
	["insufficient_quota", accountSpent],
	[
		"invalid_api_key",
		/\b(?:invalid|incorrect|expired) api[ _-]?key|api key (?:not valid|is invalid|expired)/i,
	],
	[
		"unsupported_country_region_territory",
		/(?:country|region|territory|location)s?\b[^"]{0,40} (?:is |are )?not (?:supported|available|allowed|served)|not (?:available|supported) in your (?:country|region|location)/i,
	],
	[
		"model_not_found",
		/(?:not have|no|denied) (?:access|permission)s? (?:to|for) (?:the |this )?model\b|not (?:allowed|permitted|authorized) to (?:use|access) (?:the |this )?model\b/i,
	],
	[
		"permission_denied",
		/insufficient permissions?|missing scopes?|permission denied|not (?:have|has) (?:the )?(?:required )?permissions?|ip (?:address )?[^"]{0,40}not (?:allowed|authori[sz]ed|whitelisted)/i,
	],
	["invalid_api_key", /^\s*unauthori[sz]ed\b/i],
	["rate_limit_exceeded", /\brate[ -]?limit|too many requests/i],
];

/** OpenAI's words for an account that is used up; Google uses the same words for a minute that is. */
const openaiSpent = /exceeded your current quota|\bquota exceeded/i;

/** What is over in a minute is no empty account. */
const ofAMinute =
	/per[ _-]?(?:minute|min|second|sec|hour)\b|\b[rt]pm\b|try again in/i;

/**
 * What a refusal of a request may be about as well. At the beginning, where no
 * text is quoted before it.
 */
const openings: readonly (readonly [Reason, RegExp])[] = [
	["insufficient_quota", /^[^"'`]{0,20}credit balance is too low/i],
	[
		"invalid_api_key",
		/^[^"'`]{0,20}api key (?:not valid|is invalid|expired)|^(?:incorrect|invalid) api key/i,
	],
	["unsupported_country_region_territory", /^user location is not supported/i],
	["invalid_api_key", /^(?:invalid|expired) (?:access )?token\b/i],
	[
		"model_not_found",
		/^(?:the )?model [^"]{0,80}?(?:does not|doesn't|not) exist|^(?:the )?model [^"]{0,80}?not (?:found|supported|available)|^(?:invalid|unknown|unsupported|no such) model\b/i,
	],
];

/** Google's names of statuses (google.rpc.Code), which other gateways repeat. */
const namedStatuses: Readonly<Record<string, number>> = {
	INVALID_ARGUMENT: 400,
	FAILED_PRECONDITION: 400,
	OUT_OF_RANGE: 400,
	UNAUTHENTICATED: 401,
	PERMISSION_DENIED: 403,
	NOT_FOUND: 404,
	ABORTED: 409,
	RESOURCE_EXHAUSTED: 429,
	INTERNAL: 500,
	UNIMPLEMENTED: 501,
	UNAVAILABLE: 503,
	DEADLINE_EXCEEDED: 504,
	invalid_request_error: 400,
	not_found_error: 404,
	server_error: 500,
	api_error: 500,
	overloaded_error: 503,
};

/** The call that was answered with an error. */
export interface FailedCall {
	/** Of the answer; `undefined`: not known. */
	readonly status?: number;
	/** How many texts it had. @default 1 */
	readonly texts?: number;
}

/**
 * Reads the body of an error, whatever surrounds it: `{ error: {…} }`,
 * `{ error: "…" }`, `{ code, message }`, a list around any of these.
 */
export function errorReason(
	body: unknown,
	{ status: answered, texts = 1 }: FailedCall = {},
): ErrorReason {
	const parts = partsOf(body);
	const words = parts.flatMap(wordsOf);
	const messages = parts.flatMap(messagesOf);
	// Of a text that is refused, the sentence may quote the text.
	const sentences = mayQuote(answered) ? [] : messages;
	const reason =
		reasonOf(words, sentences) ??
		openings.find(([, opening]) =>
			messages.some((message) => opening.test(message)),
		)?.[0];
	const status = words.map(statusOf).find((one) => one !== undefined);
	const maxTexts = statedLimit(messages, texts);
	return {
		...(reason === undefined ? {} : { reason }),
		...(status === undefined ? {} : { status }),
		...(maxTexts === undefined ? {} : { maxTexts }),
		...(messages.some(isAboutSize) ? { isSize: true } : {}),
		...(isApisError(body, messages) ? { isApis: true } : {}),
		...(isAboutEncoding(body) ? { isAboutEncoding: true } : {}),
	};
}

/** Its sentences for humans, which may quote a key or a text. */
export function errorMessages(body: unknown): string[] {
	return partsOf(body)
		.flatMap(messagesOf)
		.filter((message) => !/^\s*</.test(message));
}

/** Whether an answer with status 200 is an error all the same. */
export function isErrorAnswer(answer: object): boolean {
	// Of a list of vectors, each item may have an error of its own.
	if (Array.isArray(answer))
		return answer.length > 0 && answer.every((item) => isError(item));
	return isError(answer);
}

function mayQuote(status: number | undefined): boolean {
	return (
		status !== undefined &&
		status >= 400 &&
		![401, 402, 403, 429].includes(status)
	);
}

function isError(value: unknown): boolean {
	const { error, errors, data, embeddings, ...rest } = membersOf(value);
	if (embeddings !== undefined) return false;
	if (Array.isArray(data) && data.length > 0) return false;
	if (isStated(error) || isStated(errors)) return true;
	if (Array.isArray(data)) return false;
	const { code, success, status } = rest;
	if (success === false) return true;
	const isCode = isStated(code) && !successes.test(String(code));
	const isStatus =
		typeof status === "string" && /^(?:error|fail(?:ed|ure)?)$/i.test(status);
	return (isCode || isStatus) && messagesOf(rest).length > 0;
}

/** Codes of wrappers around what went well. */
const successes = /^(?:0+|2\d\d|20000|ok|success)$/i;

/** Servers that count the texts of a call, even where they call it a rate limit. */
const sizes =
	/too (?:large|big|long)|too many (?:input|text|item|document|string|sequence|token)s?\b|must be (?:reduced|shorter|smaller)|reduce (?:the|your)|(?:batch|input|request|payload) (?:size|length|limit)|larger than|exceeds? (?:the )?max|maximum (?:batch|number|size|length|context)/i;

/** A limit of a minute that is used up may state sizes as well, and when it is over. */
function isAboutSize(message: string): boolean {
	return sizes.test(message) && !/try again in|retry after/i.test(message);
}

/** Only a hint what to try: it may quote a text. */
function isAboutEncoding(body: unknown): boolean {
	return /encoding_?format|unrecognized|unknown (?:field|param|arg|name)|unexpected|extra (?:field|input)s?|not permitted/i.test(
		JSON.stringify(body)?.slice(0, errorLength) ?? "",
	);
}

const errorLength = 5000;

/** OpenAI's form of an error, unless it is about the request. */
function isApisError(body: unknown, messages: readonly string[]): boolean {
	const isObject = [body]
		.flat()
		.some((item) => typeof membersOf(item).error === "object");
	const isContents = messages.some((message) =>
		/content|polic(?:y|ies)|filter|moderat|block|safety|flagged|firewall/i.test(
			message,
		),
	);
	return isObject && !isContents;
}

export function isStated(value: unknown): boolean {
	if (Array.isArray(value)) return value.length > 0;
	return (
		value !== undefined && value !== null && value !== "" && value !== false
	);
}

type Members = ReturnType<typeof membersOf>;

/** The objects that may contain the reason, the outermost first; a text in place of one is its message. */
function partsOf(body: unknown): Members[] {
	const outer = [body].flat(2).slice(0, 10);
	return outer.flatMap((item) => {
		const object =
			typeof item === "string" ? { message: item } : membersOf(item);
		const inner = [object.error, object.errors, object.detail, object.details]
			.flat()
			.slice(0, 20);
		const within = inner.flatMap((one) => {
			const part = typeof one === "string" ? { message: one } : membersOf(one);
			const details = [part.details, part.errors, part.metadata, part.error]
				.flat()
				.slice(0, 20);
			return [
				part,
				...details.map((detail) =>
					typeof detail === "string" ? { message: detail } : membersOf(detail),
				),
			];
		});
		return [object, ...within];
	});
}

function wordsOf({
	code,
	type,
	status,
	reason,
	statusCode,
	error_code,
}: Members): string[] {
	return [code, type, status, reason, statusCode, error_code].flatMap(
		(value) =>
			typeof value === "string" || typeof value === "number"
				? String(value)
				: [],
	);
}

function messagesOf({
	message,
	detail,
	msg,
	title,
	error_msg,
	error_message,
}: Members): string[] {
	const all = [message, detail, msg, title, error_msg, error_message];
	return all.flatMap((value) =>
		typeof value === "string" ? value.slice(0, longestMessage) : [],
	);
}

// What counts is at the beginning; the rest may be a whole text.
const longestMessage = 500;

function reasonOf(
	words: readonly string[],
	messages: readonly string[],
): Reason | undefined {
	const named = keysOf(patterns).find((name) =>
		words.some((word) => patterns[name].test(word)),
	);
	// A rate limit may still be an empty account, by its sentence.
	if (named !== undefined && named !== "rate_limit_exceeded") return named;
	const isGoogles = words.some((word) => /^[A-Z_]{4,}$/.test(word));
	if (
		messages.some(
			(message) =>
				!ofAMinute.test(message) &&
				(accountSpent.test(message) ||
					(!isGoogles && openaiSpent.test(message))),
		)
	)
		return "insufficient_quota";
	return (
		named ??
		sentences.find(([, sentence]) =>
			messages.some((message) => sentence.test(message)),
		)?.[0]
	);
}

function statusOf(word: string): number | undefined {
	if (Object.hasOwn(namedStatuses, word)) return namedStatuses[word];
	const number = /^[45]\d\d$/.test(word) ? Number(word) : undefined;
	return number;
}

/** `batch size 64 > maximum allowed batch size 32`, `should not be larger than 10`. */
function statedLimit(
	messages: readonly string[],
	texts: number,
): number | undefined {
	if (texts < 2) return undefined;
	const numbers = messages
		.filter((message) => /batch|input|texts|items|array|length/i.test(message))
		.flatMap((message) => message.match(/\b\d{1,4}\b/g) ?? [])
		.map(Number)
		.filter((number) => number >= 1 && number < texts);
	return numbers.length === 0 ? undefined : Math.max(...numbers);
}

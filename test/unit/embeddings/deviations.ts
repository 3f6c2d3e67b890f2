/**
 * Ways in which servers of OpenAI's protocol differ from it, from reports of
 * their users. To add one: what the server answers, and what must come of it.
 */

/** A request as it came. */
export interface Asked {
	readonly input: readonly string[];
	readonly encoding_format?: "base64" | "float";
	readonly dimensions?: number;
}

export interface Reply {
	readonly status?: number;
	/** Text is sent as it is. */
	readonly body: unknown;
}

/** `undefined`: the server answers as documented. */
export type Deviates = (asked: Asked, good: GoodItem[]) => Reply | undefined;

export interface GoodItem {
	readonly index: number;
	readonly embedding: unknown;
}

export interface Deviation {
	readonly name: string;
	readonly deviates: Deviates;
	/** Texts of a second pass are answered with no more requests than this. @default as many as there are calls */
	readonly requestsLater?: number;
	/** Length of the vectors that are asked for. @default that of the server's model */
	readonly dimensions?: number;
	readonly model?: string;
}

const refusal = (status: number, message: string, rest = {}): Reply => ({
	status,
	body: { error: { message, ...rest } },
});

const onBase64 =
	(reply: (asked: Asked, good: GoodItem[]) => Reply): Deviates =>
	(asked, good) =>
		asked.encoding_format === "base64" ? reply(asked, good) : undefined;

const base64 = ({ buffer }: { readonly buffer: ArrayBufferLike }): string =>
	Buffer.from(buffer).toString("base64");

const items = (data: readonly unknown[]): Reply => ({
	body: { object: "list", data },
});

/** Either form of the good answer's. */
const floatsIn = (embedding: unknown): Float32Array =>
	typeof embedding === "string"
		? new Float32Array(Uint8Array.from(Buffer.from(embedding, "base64")).buffer)
		: Float32Array.from(embedding as number[]);

/** Every text gets its vector all the same, and the second time at no extra cost. */
export const worksAnyway: readonly Deviation[] = [
	...[400, 403, 404, 405, 406, 415, 418, 422, 500, 501, 502, 503].map(
		(status): Deviation => ({
			name: `base64 is refused with status ${status}`,
			deviates: onBase64(() => refusal(status, "unsupported")),
		}),
	),
	{
		name: 'base64 is an "unknown field encoding_format"',
		deviates: onBase64(() =>
			refusal(400, 'json: unknown field "encoding_format"'),
		),
	},
	{
		name: "base64 is refused in an error inside a 200",
		deviates: onBase64(() => ({
			body: {
				error: { message: "encoding_format is not supported", code: 400 },
			},
		})),
	},
	{
		name: "base64 is answered with 200 and no data",
		deviates: onBase64(() => items([])),
	},
	{
		name: "base64 is answered with 200 and data null",
		deviates: onBase64(() => ({ body: { data: null } })),
	},
	...(["", null, [], undefined] as const).map(
		(embedding): Deviation => ({
			name: `base64 is answered with ${JSON.stringify(embedding) ?? "nothing"} for each vector`,
			deviates: onBase64((_, good) =>
				items(good.map(({ index }) => ({ index, embedding }))),
			),
		}),
	),
	...(
		[
			["zeros", (floats) => floats.map(() => 0)],
			["null for each number", (floats) => [...floats].map(() => null)],
			["zeros in base64", (floats) => base64(new Float32Array(floats.length))],
			[
				"NaN in base64",
				(floats) => base64(new Float32Array(floats.length).fill(Number.NaN)),
			],
			["64-bit floats", (floats) => base64(Float64Array.from(floats))],
			["16-bit floats", (floats) => base64(Uint16Array.from(floats))],
			["bytes", (floats) => base64(Int8Array.from(floats))],
			[
				"hex digits",
				(floats) =>
					Buffer.from(Float32Array.from(floats).buffer).toString("hex"),
			],
			["words", () => "base64 is not supported!"],
			["JSON in a text", (floats) => JSON.stringify([...floats])],
		] as [string, (floats: Float32Array) => unknown][]
	).map(
		([name, change]): Deviation => ({
			name: `base64 is answered with ${name}`,
			deviates: onBase64((_, good) =>
				items(
					good.map(({ index, embedding }) => {
						const { buffer } = Uint8Array.from(
							Buffer.from(embedding as string, "base64"),
						);
						return {
							index,
							embedding: change(new Float32Array(buffer)),
						};
					}),
				),
			),
		}),
	),
	...[
		"Unrecognized request argument supplied: encoding_format",
		"Extra inputs are not permitted",
		'json: unknown field "encoding_format"',
	].map(
		(message): Deviation => ({
			name: `the field encoding_format is refused: ${message}`,
			deviates: ({ encoding_format }) =>
				encoding_format === undefined ? undefined : refusal(400, message),
		}),
	),
	{
		name: "base64 is answered with something that is not JSON",
		deviates: onBase64(() => ({ body: "<html></html>" })),
	},
	...[400, 422, 500, 501].map(
		(status): Deviation => ({
			name: `dimensions are refused with status ${status}, and right without`,
			model: "text-embedding-3-small",
			dimensions: 48,
			deviates: ({ dimensions }) =>
				dimensions === undefined
					? undefined
					: refusal(status, "extra fields not permitted: dimensions"),
		}),
	),
	{
		name: "neither base64 nor dimensions are known",
		model: "text-embedding-3-small",
		dimensions: 48,
		deviates: ({ dimensions, encoding_format }) =>
			dimensions !== undefined || encoding_format === "base64"
				? refusal(422, "extra inputs are not permitted")
				: undefined,
	},
	...["result", "output", "response", "data"].map(
		(member): Deviation => ({
			name: `the answer is within ${member} of another one`,
			deviates: (_, good) => ({
				body: { code: 0, message: "ok", [member]: { data: good } },
			}),
		}),
	),
	...(
		[
			["texts of numbers", (floats) => [...floats].map(String)],
			["a list around each vector", (floats) => [[...floats]]],
			["an object with numbers as members", (floats) => ({ ...floats })],
			["an object with values", (floats) => ({ values: [...floats] })],
			["JSON in a text, whatever is asked", (floats) => `[${[...floats]}]`],
			[
				"base64 of 64-bit floats, whatever is asked",
				(floats) => base64(Float64Array.from(floats)),
			],
			["base64, whatever is asked", (floats) => base64(floats)],
		] as [string, (floats: Float32Array) => unknown][]
	).map(
		([name, change]): Deviation => ({
			name: `vectors come as ${name}`,
			deviates: (_, good) =>
				items(
					good.map(({ index, embedding }) => ({
						index,
						embedding: change(floatsIn(embedding)),
					})),
				),
		}),
	),
	...["embeddings", "vector", "values"].map(
		(member): Deviation => ({
			name: `a vector is called ${member}`,
			deviates: (_, good) =>
				items(
					good.map(({ index, embedding }) => ({ index, [member]: embedding })),
				),
		}),
	),
	{
		name: "the items are the vectors",
		deviates: (_, good) => items(good.map(({ embedding }) => embedding)),
	},
	{
		name: "the answer is a list of vectors",
		deviates: (_, good) => ({
			body: good.map(({ embedding }) => [...floatsIn(embedding)]),
		}),
	},
	{
		name: "the answer has embeddings",
		deviates: (_, good) => ({
			body: { embeddings: good.map(({ embedding }) => embedding) },
		}),
	},
	{
		name: "the answer is the only event of a stream",
		deviates: (_, good) => ({
			body: `data: ${JSON.stringify({ data: good })}\n\ndata: [DONE]\n\n`,
		}),
	},
	{
		name: "index is missing",
		deviates: (_, good) => items(good.map(({ embedding }) => ({ embedding }))),
	},
	{
		name: "index is missing of the first item, as of a protobuf zero",
		deviates: (_, good) =>
			items(
				good.map(({ index, embedding }) =>
					index === 0 ? { embedding } : { index, embedding },
				),
			),
	},
	{
		name: "index is null",
		deviates: (_, good) =>
			items(good.map((item) => ({ ...item, index: null }))),
	},
	{
		name: "index is null of the first item",
		deviates: (_, good) =>
			items(
				good.map((item) => ({
					...item,
					index: item.index === 0 ? null : item.index,
				})),
			),
	},
	{
		name: "index is a text",
		deviates: (_, good) =>
			items(good.map((item) => ({ ...item, index: String(item.index) }))),
	},
	{
		name: "index is 0 for each: texts go alone",
		deviates: (_, good) => items(good.map((item) => ({ ...item, index: 0 }))),
		requestsLater: 20,
	},
	...[1, -1, 7, "0", "1"].map(
		(index): Deviation => ({
			name: `index is ${JSON.stringify(index)} for each: texts go alone`,
			deviates: (_, good) => items(good.map((item) => ({ ...item, index }))),
			requestsLater: 20,
		}),
	),
	{
		name: "index counts from 1",
		deviates: (_, good) =>
			items(good.map((item) => ({ ...item, index: item.index + 1 }))),
	},
	{
		name: "index counts from 1, as a text, in another order",
		deviates: (_, good) =>
			items(
				good
					.map((item) => ({ ...item, index: String(item.index + 1) }))
					.toReversed(),
			),
	},
	{
		name: "index is a text, in another order",
		deviates: (_, good) =>
			items(
				good
					.map((item) => ({ ...item, index: String(item.index) }))
					.toReversed(),
			),
	},
	...([null, undefined, "first", {}, 0.5] as const).map(
		(index): Deviation => ({
			name: `index of one item is ${JSON.stringify(index) ?? "missing"}, in another order: texts go alone`,
			deviates: (_, good) =>
				items(
					good
						.map((item, at) => (at === 1 ? { ...item, index } : item))
						.toReversed(),
				),
			requestsLater: 20,
		}),
	),
	{
		name: "index of all but one is missing, and that one contradicts its place",
		deviates: (_, good) =>
			items(
				good
					.map((item) =>
						item.index === 3 ? item : { embedding: item.embedding },
					)
					.toReversed(),
			),
		requestsLater: 20,
	},
	{
		name: "index is the same for each two: texts go alone",
		deviates: (_, good) =>
			items(good.map((item) => ({ ...item, index: item.index >> 1 }))),
		requestsLater: 20,
	},
	{
		name: "index of a single text is anything",
		deviates: (_, good) =>
			good.length === 1
				? items(good.map((item) => ({ ...item, index: 99 })))
				: undefined,
	},
	{
		name: "the items come in another order, told by index",
		deviates: (_, good) => items(good.toReversed()),
	},
	...[400, 402, 413, 422, 431, 500].map(
		(status): Deviation => ({
			name: `more than 7 texts a call are refused with status ${status}`,
			deviates: ({ input }) =>
				input.length > 7 ? refusal(status, "no") : undefined,
			...(status === 500 ? { requestsLater: 12 } : { requestsLater: 4 }),
		}),
	),
	...[
		"batch too large for rate",
		"Request too large on tokens per min (TPM): Limit 10, Requested 20. The input must be reduced",
	].map(
		(message): Deviation => ({
			name: `more than 7 texts a call are refused with status 429: ${message}`,
			deviates: ({ input }) =>
				input.length > 7
					? refusal(429, message, { code: "rate_limit_exceeded" })
					: undefined,
			requestsLater: 4,
		}),
	),
	{
		name: "the limit of texts a call is stated: it is taken at its word",
		deviates: ({ input }) =>
			input.length > 7
				? refusal(400, `batch size is invalid, it should not be larger than 7.`)
				: undefined,
		requestsLater: 3,
	},
];

/** The answers of servers, with their status and meaning. */
export interface Verdict {
	readonly name: string;
	readonly status: number;
	readonly body: unknown;
	readonly kind: "setup" | "busy" | "text" | "down";
	/** Whether waiting does not help. */
	readonly isSpent?: boolean;
}

const spent = { kind: "busy", isSpent: true } as const;
const busy = { kind: "busy" } as const;
const key = { kind: "setup" } as const;

const said = (error: unknown) => ({ error });

export const verdicts: readonly Verdict[] = [
	// An empty account, whichever provider reports it and however.
	...[
		{ code: "insufficient_quota" },
		{ type: "insufficient_quota" },
		{ code: 429, type: "insufficient_quota" },
		{ code: "429", type: "insufficient_quota" },
		{ code: null, type: "insufficient_quota" },
		{ code: 402 },
		{ code: "402", type: "None" },
		{ code: "insufficient_user_quota" },
		{ code: "billing_hard_limit_reached" },
		{ code: "billing_not_active" },
		{
			message:
				"You exceeded your current quota, please check your plan and billing details.",
		},
		{ message: "Your credit balance is too low" },
		{ code: "1113", message: "Insufficient balance" },
	].map((error) => ({
		name: `429 ${JSON.stringify(error)}`,
		status: 429,
		body: said(error),
		...spent,
	})),
	{
		name: "429 with the code beside the message",
		status: 429,
		body: { code: "insufficient_quota", message: "no" },
		...spent,
	},
	{
		name: "403 quota",
		status: 403,
		body: said({ code: "insufficient_user_quota", message: "quota" }),
		...spent,
	},
	{
		name: "403 quota exceeded",
		status: 403,
		body: said({ code: 403, errors: [{ reason: "quotaExceeded" }] }),
		...spent,
	},
	{ name: "402", status: 402, body: {}, ...spent },
	{
		name: "200 with insufficient_quota",
		status: 200,
		body: said({ code: "insufficient_quota" }),
		...spent,
	},
	// A rate limit.
	...[
		{ code: "rate_limit_exceeded", type: "requests" },
		{ type: "tokens" },
		{ code: 429, message: "Too many requests" },
		{},
	].map((error) => ({
		name: `429 ${JSON.stringify(error)}`,
		status: 429,
		body: said(error),
		...busy,
	})),
	{
		name: "a list around Gemini's rate limit",
		status: 429,
		body: [
			said({
				code: 429,
				message:
					"You exceeded your current quota, please check your plan and billing details.",
				status: "RESOURCE_EXHAUSTED",
			}),
		],
		...busy,
	},
	{
		name: "Gemini's rate limit in a 200",
		status: 200,
		body: [said({ code: 429, status: "RESOURCE_EXHAUSTED" })],
		...busy,
	},
	{
		name: "200 with a rate limit",
		status: 200,
		body: said({ code: 429, message: "slow down" }),
		...busy,
	},
	{
		name: "200 with code and message",
		status: 200,
		body: { code: "rate_limit_exceeded", message: "slow down" },
		...busy,
	},
	{
		name: "403 rate limit",
		status: 403,
		body: said({ code: 403, errors: [{ reason: "rateLimitExceeded" }] }),
		...busy,
	},
	{
		name: "500 around a 429",
		status: 500,
		body: said({ code: "429", type: "None" }),
		...busy,
	},
	// The key.
	{
		name: "Gemini's bad key, which is a 400 in a list",
		status: 400,
		body: [
			said({
				code: 400,
				message: "API key not valid. Please pass a valid API key.",
				status: "INVALID_ARGUMENT",
				details: [{ reason: "API_KEY_INVALID" }],
			}),
		],
		...key,
	},
	{
		name: "Gemini's bad key without details",
		status: 400,
		body: [said({ code: 400, message: "API key not valid." })],
		...key,
	},
	{
		name: "200 with a bad key",
		status: 200,
		body: said({ code: "invalid_api_key" }),
		...key,
	},
	{
		name: "200 with status 401",
		status: 200,
		body: said({ code: 401, message: "no" }),
		...key,
	},
	{ name: "403", status: 403, body: {}, ...key },
	{ name: "401 as text", status: 401, body: "Unauthorized", ...key },
	{
		name: "403 permission denied",
		status: 403,
		body: [said({ code: 403, status: "PERMISSION_DENIED" })],
		...key,
	},
	...[
		[{ success: false, error_msg: "Invalid API key", error_code: 401 }, key],
		[{ status: "error", message: "unauthorized" }, key],
		[{ code: 429, msg: "too many requests", data: null }, busy],
		[{ data: [], error: { code: "rate_limit_exceeded", message: "no" } }, busy],
	].map(([body, verdict]) => ({
		name: `200 ${JSON.stringify(body)}`,
		status: 200,
		body,
		...(verdict as typeof key | typeof busy),
	})),
	...[
		"quota exceeded",
		{ title: "Quota Exceeded", detail: "Monthly quota exhausted" },
		{ message: "Monthly quota exhausted" },
		{ message: "You have run out of tokens for this month" },
	].map((body) => ({
		name: `429 ${JSON.stringify(body)}`,
		status: 429,
		body,
		...spent,
	})),
	{
		name: "429 with a quota of a minute",
		status: 429,
		body: said({ message: "Quota exceeded: 60 requests per minute" }),
		...busy,
	},
	{
		name: "400 without credit",
		status: 400,
		body: said({ message: "Your credit balance is too low to access the API" }),
		...spent,
	},
	...[
		{ message: "Invalid model: m", type: "invalid_model" },
		{ code: 20012, message: "Model does not exist. Please check it." },
		{ message: "Invalid model: m" },
		{ message: "The model `m` does not exist." },
	].map((error) => ({
		name: `400 ${JSON.stringify(error)}`,
		status: 400,
		body: said(error),
		...key,
	})),
	// The text; its words must not be taken for those of the server.
	{
		name: "400 that quotes a text about rate limits and keys",
		status: 400,
		body: said({
			message: `cannot embed "rate limit, insufficient quota, api key not valid"`,
		}),
		kind: "text",
	},
	{
		name: "200 with a bad request",
		status: 200,
		body: said({ code: 400, message: "no" }),
		kind: "text",
	},
	{
		name: "500 around a 400",
		status: 500,
		body: said({ code: 400, message: "no" }),
		kind: "text",
	},
	// What the key may do, and where.
	...[
		{
			message: "Country, region, or territory not supported",
			type: "request_forbidden",
			code: "unsupported_country_region_territory",
		},
		{ message: "Country, region, or territory not supported" },
		{ message: "This model is not available in your region." },
		{
			message: "Project p does not have access to model m",
			type: "invalid_request_error",
			code: "model_not_found",
		},
		{ message: "You do not have access to the model m" },
		{
			message:
				"You have insufficient permissions for this operation. Missing scopes: model.request",
			type: "invalid_request_error",
		},
		{ message: "Your IP address is not authorized", code: "ip_not_authorized" },
		{ message: "no", type: "invalid_request_error", param: null, code: null },
	].map((error) => ({
		name: `403 ${JSON.stringify(error)}`,
		status: 403,
		body: said(error),
		...key,
	})),
	{
		name: "403 with a quota in words",
		status: 403,
		body: said({
			message: "You exceeded your current quota, please check your plan",
		}),
		...spent,
	},
	{
		name: "403 with a rate limit in words",
		status: 403,
		body: said({ message: "Rate limit exceeded, try again in 20s" }),
		...busy,
	},
	{
		name: "400 of Gemini for a region",
		status: 400,
		body: said({
			code: 400,
			message: "User location is not supported for the API use.",
			status: "FAILED_PRECONDITION",
		}),
		...key,
	},
	{ name: "451", status: 451, body: "<html></html>", ...key },
	{
		name: "498 with a token that is not valid",
		status: 498,
		body: { message: "Invalid token." },
		...key,
	},
	...[413, 422, 498].map((status) => ({
		name: `${status} as a page`,
		status,
		body: "<html><title>no</title></html>",
		kind: "text" as const,
	})),
	...[408, 409, 425, 499, 502, 504, 520, 521, 522, 523, 524, 525, 529, 530].map(
		(status) => ({
			name: `${status} as a page`,
			status,
			body: "<html><title>Error | Cloudflare</title></html>",
			kind: "down" as const,
		}),
	),
	// The server.
	{
		name: "500",
		status: 500,
		body: said({ type: "server_error" }),
		kind: "down",
	},
	{
		name: "200 with an error that says nothing",
		status: 200,
		body: said("something went wrong"),
		kind: "down",
	},
	{ name: "503 as a page", status: 503, body: "<html></html>", kind: "down" },
];

/** What a server does with any call that one bad text is in; the others get their vectors. */
export interface Poison {
	readonly name: string;
	/** `"hang"`: no answer at all. */
	readonly reply: (asked: Asked, good: GoodItem[]) => Reply | "hang";
	/** `text`: it is known to fail again; `answer`: it is tried again, some times. */
	readonly kind: "text" | "answer";
}

const always =
	(status: number, body: unknown): Poison["reply"] =>
	() => ({ status, body });

export const poisons: readonly Poison[] = [
	...[300, 302, 307, 402, 404, 405, 406, 410, 418, 431, 451, 500, 501].flatMap(
		(status): Poison[] => [
			{
				name: `status ${status}`,
				reply: always(status, { error: "x" }),
				kind: "text",
			},
			{
				name: `status ${status} with a page`,
				reply: always(status, "<html>blocked</html>"),
				kind: "text",
			},
		],
	),
	...[
		"<html>Request blocked</html>",
		{ message: "Forbidden" },
		{ error: { message: "blocked by the content filter" } },
	].map(
		(body): Poison => ({
			name: `status 403 ${JSON.stringify(body)}`,
			reply: always(403, body),
			kind: "text",
		}),
	),
	...[502, 503, 504, 520, 424].map(
		(status): Poison => ({
			name: `status ${status}`,
			reply: always(status, {}),
			kind: "answer",
		}),
	),
	{
		name: "status 429 about its size",
		reply: always(
			429,
			said({
				message:
					"Request too large on tokens per min (TPM): Limit 10, Requested 20. Your input must be reduced",
				type: "tokens",
				code: "rate_limit_exceeded",
			}),
		),
		kind: "answer",
	},
	{
		name: "an answer over the limit of its size",
		reply: () => ({ body: " ".repeat(12_000_000) }),
		kind: "text",
	},
	{
		name: "NaN, which is no JSON",
		reply: () => ({ body: '{"data":[{"index":0,"embedding":[NaN]}]}' }),
		kind: "answer",
	},
	{
		name: "a page with status 200",
		reply: always(200, "<html></html>"),
		kind: "answer",
	},
	{
		name: "an object without vectors",
		reply: always(200, { object: "error", message: "content filter" }),
		kind: "answer",
	},
	{
		name: "an error inside a 200",
		reply: always(200, said({ message: "no", code: "content_filter" })),
		kind: "text",
	},
	{ name: "no answer in time", reply: () => "hang", kind: "answer" },
];

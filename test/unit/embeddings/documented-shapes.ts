/**
 * Requests and answers as the providers document them, stored beside the tests so
 * that a reader sees what they rely on without a key or a network. Vectors are
 * cut to a few numbers.
 */

/**
 * POST https://api.openai.com/v1/embeddings
 * https://platform.openai.com/docs/api-reference/embeddings/create
 * Limits, from the same page and from openai-node's `EmbeddingCreateParams`
 * (generated from OpenAI's OpenAPI document): 2,048 inputs, 8,192 tokens an
 * input, 300,000 tokens summed over a request, no empty input.
 */
export const openai = {
	request: {
		model: "text-embedding-3-small",
		input: ["The food was delicious", "and the waiter..."],
		encoding_format: "float",
	},
	answer: {
		object: "list",
		data: [
			{
				object: "embedding",
				embedding: [0.0023064255, -0.009327292, 0.015797347, -0.0077680073],
				index: 0,
			},
			{
				object: "embedding",
				embedding: [-0.0028842222, 0.024864968, -0.0073977234, 0.0125],
				index: 1,
			},
		],
		model: "text-embedding-3-small",
		usage: { prompt_tokens: 8, total_tokens: 8 },
	},
	/** The first vector of the answer with `encoding_format: "base64"`: little-endian 32-bit floats. */
	base64: "ZicXO4DRGLxwaYE8xYr+uw==",
	/** https://platform.openai.com/docs/guides/error-codes */
	errors: {
		401: {
			error: {
				message:
					"Incorrect API key provided: sk-abc***xyz. You can find your API key at https://platform.openai.com/account/api-keys.",
				type: "invalid_request_error",
				param: null,
				code: "invalid_api_key",
			},
		},
		429: {
			error: {
				message:
					"Rate limit reached for text-embedding-3-small in organization org-abc on tokens per min (TPM): Limit 1000000, Used 999000, Requested 2000. Please try again in 60ms.",
				type: "tokens",
				param: null,
				code: "rate_limit_exceeded",
			},
		},
		quota: {
			error: {
				message:
					"You exceeded your current quota, please check your plan and billing details.",
				type: "insufficient_quota",
				param: null,
				code: "insufficient_quota",
			},
		},
	},
} as const;

/**
 * POST https://api.cohere.com/v2/embed
 * https://docs.cohere.com/reference/embed, and cohere-typescript's
 * `V2EmbedRequest` and `EmbedByTypeResponse`: 96 texts a call, `input_type`
 * required from v3 on, `truncate` END unless NONE is asked for.
 */
export const cohere = {
	request: {
		model: "embed-english-v3.0",
		texts: ["hello", "goodbye"],
		input_type: "search_document",
		embedding_types: ["float"],
		truncate: "NONE",
	},
	answer: {
		id: "da6e531f-54c5-4a73-bf92-f60566d8d753",
		embeddings: {
			float: [
				[0.016296387, -0.008354187, -0.04699707, -0.07104492],
				[0.04663086, -0.023239136, 0.008163452, -0.03945923],
			],
		},
		texts: ["hello", "goodbye"],
		response_type: "embeddings_by_type",
		meta: {
			api_version: { version: "2" },
			billed_units: { input_tokens: 2 },
		},
	},
	errors: {
		401: { message: "invalid api token" },
		429: {
			message:
				"You are using a Trial key, which is limited to 100 API calls / minute.",
		},
	},
} as const;

import * as z from "zod";
import { languageName, maxBuckets, schemaName, tenantName } from "../config.ts";
import { isAiSdkModel } from "../embeddings/ai-sdk.ts";
import type { RetryOptions } from "../embeddings/retry.ts";
import { type Issue, RemError } from "../errors.ts";
import { having, isRecord, longestWaitMs, typeName } from "../models/checks.ts";
import { isEntity } from "../models/entity.ts";
import { namesIn } from "../models/options.ts";
import { quoted, suggest } from "../util/suggest.ts";
import type {
	BackgroundIndexOptions,
	ConnectOptions,
	EmbeddingOptions,
} from "./connect-options.ts";

type Options<T> = { readonly [Name in keyof T]-?: z.ZodType };

/** The bounds of the environment's variables, which are those of timers and of the server. */
const whole = (minimum: number, maximum: number) => {
	const expected = `expected a whole number from ${minimum} to ${maximum}`;
	return z.optional(
		z.int(expected).min(minimum, expected).max(maximum, expected),
	);
};
const flag = z.optional(z.boolean("expected true or false"));
const text = z.optional(z.string("expected a string").min(1, "is empty"));

/** What does not fit the check is described by its problem. */
const checked = (check: (value: unknown) => string | undefined) =>
	z.optional(
		z.unknown().check((context) => {
			const message = check(context.value);
			if (message !== undefined)
				context.issues.push({ code: "custom", message, input: context.value });
		}),
	);

const retry: Options<RetryOptions> = {
	attempts: whole(1, 1000),
	baseMs: whole(0, longestWaitMs),
	maxMs: whole(0, longestWaitMs),
	deadlineMs: whole(1, longestWaitMs),
	timeoutMs: whole(1, longestWaitMs),
};

const embedding: Options<EmbeddingOptions> = {
	provider: checked((value) =>
		typeof value === "string" || isRecord(value)
			? undefined
			: `expected a name, a provider or a model of the AI SDK, found ${typeName(value)}`,
	),
	model: text,
	dimensions: whole(1, 16_000),
	apiKey: text,
	baseUrl: z.optional(
		z
			.string("expected a string")
			.regex(
				/^https?:\/\//,
				"expected an address that starts with http:// or https://",
			),
	),
	batchSize: whole(1, 100_000),
	parallelCalls: whole(1, 1000),
	maxTokensPerText: whole(16, 1_000_000),
	requestsPerMinute: whole(1, 1_000_000),
	tokensPerMinute: whole(1, 1_000_000_000),
	retry: z.optional(z.strictObject(retry)),
};

const backgroundIndex: Options<BackgroundIndexOptions> = {
	enabled: flag,
	concurrency: whole(1, 64),
	minRows: whole(1, 1_000_000_000),
	memoryMb: whole(16, 1_000_000),
	parallelWorkers: whole(0, 64),
	lockTimeoutMs: whole(1, 1_000_000_000),
	retryMs: whole(0, longestWaitMs),
};

/** The checks of the environment's variables apply to the options as well. */
const connectOptions: Options<ConnectOptions> = {
	connectionString: z.optional(z.string("expected a string")),
	readHost: text,
	readWaitMs: whole(0, 60_000),
	citusNodes: text,
	poolSize: whole(1, 1000),
	models: checked(modelsProblem),
	embedding: z.optional(z.unknown()),
	schema: z.optional(schemaName),
	buckets: whole(1, maxBuckets),
	defaultTenant: z.optional(tenantName),
	strictTenancy: flag,
	rowLevelSecurity: flag,
	coalesceLookups: flag,
	connectTimeoutMs: whole(1, 3_600_000),
	retryTimeoutMs: whole(0, 3_600_000),
	queryTimeoutMs: whole(1, longestWaitMs),
	backgroundIndex: z.optional(z.strictObject(backgroundIndex)),
	language: z.optional(languageName),
	logger: checked(having("a logger", "debug", "info", "warn", "error")),
};

const optionsSchema = z.strictObject(connectOptions);
const embeddingSchema = z.strictObject({
	embedding: z.strictObject(embedding),
});

/** The options there are, by the option that they are part of. */
export const connectOptionNames: Readonly<Record<string, readonly string[]>> = {
	"": Object.keys(connectOptions),
	backgroundIndex: Object.keys(backgroundIndex),
	embedding: Object.keys(embedding),
	"embedding.retry": Object.keys(retry),
};

/** Throws `CONFIG_INVALID` naming every option that is unknown or malformed; values stay out of it. */
export function checkConnectOptions(options: ConnectOptions): void {
	const problems = readably(() => findProblems(options));
	const [first] = problems;
	if (first === undefined) return;
	const hints = [...new Set(problems.map(({ hint }) => hint))];
	throw new RemError(
		"CONFIG_INVALID",
		problems.map(({ message }) => message).join("; "),
		{
			hint: hints.join("; "),
			issues: problems.map(({ issue }) => issue),
		},
	);
}

function findProblems(options: unknown): Problem[] {
	if (isRecord(options))
		return [
			...hiddenProblems(options),
			...problemsOf(optionsSchema, options),
			...embeddingProblems(options.embedding),
		];
	const message = `must be an object, not ${typeName(options)}`;
	return [
		{
			message: `the options of connect ${message}`,
			hint: 'connect({ connectionString: "postgresql://…", models: [Document] })',
			issue: { message },
		},
	];
}

/** Options that the schemas do not look at: symbols, and those that are inherited. */
function hiddenProblems(
	options: Readonly<Record<string, unknown>>,
	path: readonly string[] = [],
): Problem[] {
	const known = knownIn(path);
	if (known.length === 0) return [];
	const own = new Set(Object.keys(options));
	return [
		...namesIn(options)
			.filter((name) => typeof name === "symbol" || !own.has(name))
			.filter((name) => !known.includes(String(name)))
			.map((name) => unknown([...path, String(name)], path)),
		...Object.entries(options).flatMap(([name, value]) =>
			isRecord(value) && !isProvider(value)
				? hiddenProblems(value, [...path, name])
				: [],
		),
	];
}

/** A getter or a proxy of the caller's may throw. */
function readably(find: () => Problem[]): Problem[] {
	try {
		return find();
	} catch (cause) {
		throw new RemError(
			"CONFIG_INVALID",
			"the options of connect cannot be read",
			{ hint: "pass a plain object", cause },
		);
	}
}

interface Problem {
	readonly message: string;
	readonly hint: string;
	readonly issue: Issue;
}

/** It has its own check, and what belongs to it is its own affair. */
function isProvider(given: unknown): boolean {
	return isAiSdkModel(given) || (isRecord(given) && "embed" in given);
}

function embeddingProblems(given: unknown): Problem[] {
	if (given === undefined || isProvider(given)) return [];
	if (isRecord(given)) {
		const own = typeof given.provider === "object" ? given : {};
		const ofNamed = ["apiKey", "baseUrl"].filter(
			(name) => Object.hasOwn(own, name) && own[name] !== undefined,
		);
		return [
			...problemsOf(embeddingSchema, { embedding: given }),
			...ofNamed.map((name) =>
				problem(
					`embedding.${name}`,
					"is for a provider that is named, not for one of your own",
					"give it to the provider itself",
				),
			),
		];
	}
	return [
		problem(
			"embedding",
			`expected an object, found ${typeName(given)}`,
			'{ provider: "openai" }, a provider of your own, or an embedding model of the AI SDK',
		),
	];
}

function problemsOf(schema: z.ZodType, given: unknown): Problem[] {
	const { error } = schema.safeParse(given);
	return (error?.issues ?? []).flatMap((issue) =>
		issue.code === "unrecognized_keys"
			? issue.keys.map((key) => unknown([...issue.path, key], issue.path))
			: problem(issue.path.join("."), issue.message, "correct the option"),
	);
}

function problem(field: string, message: string, hint: string): Problem {
	return { message: `${field}: ${message}`, hint, issue: { field, message } };
}

function unknown(
	path: readonly PropertyKey[],
	parent: readonly PropertyKey[],
): Problem {
	const field = path.map(String).join(".");
	const hint =
		suggest(String(path.at(-1)), knownIn(parent)) ?? "leave the option out";
	return {
		message: `unknown option ${quoted(field)} of connect`,
		hint,
		issue: { field, message: "unknown option" },
	};
}

function knownIn(parent: readonly PropertyKey[]): readonly string[] {
	return connectOptionNames[parent.map(String).join(".")] ?? [];
}

function modelsProblem(value: unknown): string | undefined {
	if (isEntity(value))
		return `expected an array of models: [${value.tableName}]`;
	if (!Array.isArray(value))
		return `expected an array of models, found ${typeName(value)}`;
	const at = value.findIndex((item) => !isEntity(item));
	return at < 0
		? undefined
		: `item ${at} is not a model that defineEntity returns, but ${typeName(value[at])}`;
}

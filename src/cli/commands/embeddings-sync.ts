import { type Command, InvalidArgumentError } from "commander";
import type { SyncResult } from "../../index.ts";
import { type AnyService, withReader, withTables } from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
	type Invocation,
} from "../options.ts";
import { snakeNames } from "../output/json-text.ts";
import { count, counted } from "../output/numbers.ts";
import type { Progress } from "../output/progress.ts";
import { Terminal } from "../output/terminal.ts";

/** Options that name a model. */
export interface ModelOptions extends DatabaseOptions {
	readonly provider?: string;
	readonly dimensions?: number;
}

interface SyncCommandOptions extends ModelOptions {
	readonly model?: string;
	readonly dryRun?: boolean;
	readonly watch?: boolean;
}

/** `rem embeddings sync` */
export function addEmbeddingsSync(
	parent: Command,
	{ signal }: Invocation,
): void {
	const command = parent
		.command("sync")
		.summary("embed now what waits or lacks its vector")
		.description(
			"Compares every text with its vector, removes vectors without a text, and embeds what is missing. Stopping it is safe: the next run continues. With --model, makes the vectors of another model beside those that searches use.",
		)
		.option("--model <model>", "a model to fill, for `rem embeddings switch`")
		.option("--dry-run", "count the texts and tokens it would send")
		.option("--watch", "go on embedding what is queued until it is stopped")
		.action((options: SyncCommandOptions) => runSync(options, signal));
	addHelp(
		addDatabaseOptions(addModelOptions(command)),
		[
			"rem embeddings sync",
			"rem embeddings sync --watch",
			"rem embeddings sync --model text-embedding-3-large --dry-run",
		],
		providerVariables,
	);
}

const providerVariables = [
	"EMBEDDING__PROVIDER",
	"EMBEDDING__MODEL",
	"EMBEDDING__BASE_URL",
	"EMBEDDING__TOKENS_PER_MINUTE",
	"OPENAI_API_KEY",
	"COHERE_API_KEY",
] as const;

/** What a model's name alone leaves open. */
export function addModelOptions(command: Command): Command {
	return command
		.option(
			"--provider <name>",
			"the model's provider (default: the configured one)",
		)
		.option(
			"--dimensions <n>",
			"length of its vectors (default: the model's own)",
			(text) => {
				if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
				throw new InvalidArgumentError("Expected a whole number from 1.");
			},
		);
}

/** The model as the service takes it. */
export function namedModel(
	model: string,
	{ provider, dimensions }: ModelOptions,
) {
	return { model, provider, dimensions };
}

async function runSync(
	options: SyncCommandOptions,
	signal: AbortSignal,
): Promise<void> {
	const terminal = new Terminal(options);
	const { model } = options;
	const named =
		model === undefined ? {} : { model: namedModel(model, options) };
	const open = options.dryRun ? withReader : withTables;
	await open(terminal, options, async (service) => {
		if (options.dryRun) {
			const estimate = await service.embeddings.estimate({ ...named, signal });
			const { texts, tokens } = estimate;
			return terminal.show(snakeNames(estimate), [
				`${counted(texts, "text")} to embed, about ${counted(tokens, "token")}`,
			]);
		}
		const result = await syncAloud(terminal, service, { ...named, signal });
		terminal.show(snakeNames(result), [resultLine(result)]);
		if (result.dead > 0)
			terminal.notice(
				"`rem embeddings status` shows why texts are dead-lettered",
			);
		if (options.watch) await watch(terminal, service, signal);
	});
}

async function syncAloud(
	terminal: Terminal,
	service: AnyService,
	options: Parameters<AnyService["embeddings"]["sync"]>[0],
): Promise<SyncResult> {
	let progress: Progress | undefined;
	try {
		return await service.embeddings.sync({
			...options,
			onProgress: ({ done, total, tokens, totalTokens }) => {
				if (progress === undefined && total > 0) {
					terminal.notice(
						`${counted(total, "text")} to embed, about ${counted(totalTokens, "token")}`,
					);
					progress = terminal.progress("embedding", total);
				}
				progress?.update(
					done,
					`${count(done)} of ${count(total)} texts, ${count(tokens)} tokens`,
				);
			},
		});
	} finally {
		progress?.stop();
	}
}

function resultLine({ embedded, dead, removed, tokens }: SyncResult): string {
	if (embedded + dead + removed === 0)
		return "every text has its vector: nothing to do";
	return [
		`${counted(embedded, "text")} embedded, about ${counted(tokens, "token")}`,
		...(dead === 0 ? [] : [`${count(dead)} dead-lettered`]),
		...(removed === 0
			? []
			: [`${counted(removed, "vector")} without a text removed`]),
	].join("; ");
}

async function watch(
	terminal: Terminal,
	service: AnyService,
	signal: AbortSignal,
): Promise<void> {
	terminal.notice("watching the queue; Ctrl-C ends it");
	service.embeddings.start();
	await new Promise<void>((resolve) => {
		if (signal.aborted) resolve();
		signal.addEventListener("abort", () => resolve(), { once: true });
	});
	await service.embeddings.stop();
}

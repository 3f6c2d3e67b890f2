import type { Command } from "commander";
import type {
	KvDifference,
	KvProblem,
	KvStatus,
	VerifyResult,
} from "../../index.ts";
import { withoutCreating, withService } from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
	type Invocation,
	limitOption,
} from "../options.ts";
import { snakeNames } from "../output/json-text.ts";
import { counted } from "../output/numbers.ts";
import { Terminal } from "../output/terminal.ts";

/** `rem kv status | rebuild | verify` */
export function addKv(program: Command, invocation: Invocation): void {
	const kv = program
		.command("kv")
		.helpGroup("Maintain:")
		.summary("the cache of names: its state, rebuild it, verify it")
		.description(
			"kv_store contains every entity by its name. It is filled again automatically after a crash or failover emptied it; these commands show its state, and repair what it cannot notice.",
		);
	addKvStatus(kv);
	addKvRebuild(kv, invocation);
	addKvVerify(kv, invocation);
}

/** `rem kv status` */
function addKvStatus(kv: Command): void {
	const command = kv
		.command("status")
		.summary("whether it is in use, its entries, and what endangers it")
		.description(
			"Shows whether reads use the cache, how many entries each table has in it, and what would make it wrong: triggers that are off, prepared transactions in doubt.",
		)
		.action(async (options: DatabaseOptions) => {
			const terminal = new Terminal(options);
			const status = await withoutCreating(
				terminal,
				{ ...options, embeds: false },
				(service) => service.kv.status(),
			);
			terminal.show(status, describeStatus(status));
		});
	addHelp(
		addDatabaseOptions(command),
		["rem kv status", "rem kv status --url postgresql://localhost/app --json"],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__SCHEMA"],
	);
}

function describeStatus(status: KvStatus): string[] {
	const { ready, rebuilding, standby, persistence, entries } = status;
	const use = ready
		? "ready: names are found in the cache"
		: `not ready: names are found in the tables${rebuilding ? ", a rebuild is under way" : ""}`;
	return [
		use,
		`${persistence}${standby ? ", on a standby" : ""}`,
		...Object.entries(entries ?? {}).map(
			([table, count]) => `${table}: ${counted(count, "entry", "entries")}`,
		),
		...status.problems.flatMap(describeProblem),
	];
}

function describeProblem({ message, hint }: KvProblem): string[] {
	return [`problem: ${message}`, `  ${hint}`];
}

/** `rem kv rebuild` */
function addKvRebuild(kv: Command, { signal }: Invocation): void {
	const command = kv
		.command("rebuild")
		.summary("fill it from the tables now")
		.description(
			"Adds every name that is missing and marks the cache ready, in small batches while others read and write. It starts by itself when the cache was emptied; stopping it loses nothing. Entries that are wrong: rem kv verify --repair.",
		)
		.action((options: DatabaseOptions) => rebuild(options, signal));
	addHelp(
		addDatabaseOptions(command),
		["rem kv rebuild"],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__SCHEMA"],
	);
}

async function rebuild(
	options: DatabaseOptions,
	signal: AbortSignal,
): Promise<void> {
	const terminal = new Terminal(options);
	const result = await withService(
		terminal,
		{ ...options, embeds: false },
		async (service) => {
			const bar = terminal.lateProgress("rebuild");
			try {
				return await service.kv.rebuild({
					signal,
					onProgress: bar.onProgress,
				});
			} finally {
				bar.stop();
			}
		},
	);
	terminal.show(result, [
		result.entries === 0
			? "ready: nothing was missing"
			: `ready: ${counted(result.entries, "missing entry", "missing entries")} added`,
	]);
}

interface VerifyCommandOptions extends DatabaseOptions {
	readonly repair?: boolean;
	readonly limit: number;
}

/** `rem kv verify` */
function addKvVerify(kv: Command, invocation: Invocation): void {
	const command = kv
		.command("verify")
		.summary("compare it with the tables, and repair what differs")
		.description(
			"Compares every entry with its entity and every entity with its entry, as they are at one moment, and names what differs. Exit code 0: nothing differs, or all of it was repaired; 3: something differs, or will.",
		)
		.option("--repair", "repair the entries that differ, and no others")
		.addOption(limitOption(100))
		.action(async (options: VerifyCommandOptions) => {
			const result = await verify(options, invocation.signal);
			if (!isSound(result)) invocation.exitCode = 3;
		});
	addHelp(
		addDatabaseOptions(command),
		["rem kv verify", "rem kv verify --repair --json"],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__SCHEMA"],
	);
}

async function verify(
	options: VerifyCommandOptions,
	signal: AbortSignal,
): Promise<VerifyResult> {
	const terminal = new Terminal(options);
	const open = options.repair ? withService : withoutCreating;
	const reader = { ...options, isLong: true };
	const result = await open(
		terminal,
		{ ...reader, embeds: false },
		async (service) => {
			// One that was emptied has nothing to compare.
			await service.kv.ensureReady();
			const bar = terminal.lateProgress("verify");
			try {
				return await service.kv.verify({
					repair: options.repair,
					limit: options.limit,
					signal,
					onProgress: bar.onProgress,
				});
			} finally {
				bar.stop();
			}
		},
	);
	const { differences, problems, ...numbers } = result;
	terminal.show(
		{
			...numbers,
			differences: differences.map(snakeNames),
			problems,
		},
		describeResult(result),
	);
	return result;
}

function isSound({ ready, differing, repaired, problems }: VerifyResult) {
	return ready && differing === repaired && problems.length === 0;
}

function describeResult(result: VerifyResult): string[] {
	const { compared, differing, differences, repaired, problems } = result;
	const more = differing - differences.length;
	const verdict =
		differing === 0
			? "nothing differs"
			: `${counted(differing, "entry differs", "entries differ")}${repaired > 0 ? ", repaired" : ": rem kv verify --repair repairs them"}`;
	return [
		...differences.map(describeDifference),
		...(more > 0 ? [`and ${counted(more, "more", "more")}`] : []),
		...problems.flatMap(describeProblem),
		result.ready
			? `${counted(compared, "entity", "entities")} compared: ${verdict}`
			: "the cache was emptied during the comparison: nothing was compared",
	];
}

/** `stale    documents "doc-1" of acme (content_summary)` */
function describeDifference(difference: KvDifference): string {
	const { kind, entityType, entityKey, tenantId, columns } = difference;
	const what = columns.length === 0 ? "" : ` (${columns.join(", ")})`;
	return `${kind.padEnd(8)} ${entityType} "${entityKey}" of ${tenantId}${what}`;
}

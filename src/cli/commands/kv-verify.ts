import type { Command } from "commander";
import type { KvDifference, VerifyResult } from "../../index.ts";
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
import { describeProblem } from "./kv-status.ts";

interface VerifyCommandOptions extends DatabaseOptions {
	readonly repair?: boolean;
	readonly limit: number;
}

/** `rem kv verify` */
export function addKvVerify(kv: Command, invocation: Invocation): void {
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
	const result = await open(terminal, options, async (service) => {
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
	});
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

import { type Command, Option } from "commander";
import { RemError } from "../../errors.ts";
import type { MigrationPlan } from "../../migrate/plan.ts";
import { spaceText } from "../../models/vector.ts";
import {
	type AnyService,
	withoutCreating,
	withService,
} from "../open-service.ts";
import {
	addHelp,
	addMigrationOptions,
	type Invocation,
	type MigrateCommandOptions,
	onTarget,
	wholeNumber,
} from "../options.ts";
import { counted } from "../output/numbers.ts";
import { type Line, Terminal } from "../output/terminal.ts";
import { addMigrateRepair, addMigrateStatus } from "./migrate-ledger.ts";

/** `rem migrate`, and `status` and `repair` below it. */
export function addMigrate(program: Command, invocation: Invocation): void {
	const command = program
		.command("migrate")
		.helpGroup("Set up:")
		.summary("bring the database to the models")
		.description(
			"Applies the files of remdb, then your own (--migrations), then what the models need: tables, vectors, triggers and indexes. Safe to run again and from several machines at once: existing tables and rows stay as they are, and one run waits for the other.",
		)
		.option("--to <file>", "stop after this file; models wait, too")
		.option(
			"--dry-run",
			"show what would be done, and do nothing; exit code 3 if it would be refused",
		)
		.addOption(
			new Option(
				"--lock-timeout <ms>",
				"longest wait for a table before other clients continue (default: 500)",
			).argParser(wholeNumber(1, 600_000)),
		)
		.action((options: MigrateCommandOptions) => migrate(options, invocation));
	addHelp(
		addMigrationOptions(command),
		[
			"rem migrate --url postgresql://me:secret@localhost/remdb",
			"rem migrate --models src/models --migrations migrations --dry-run",
			"rem migrate status --migrations migrations",
		],
		[
			"POSTGRES__CONNECTION_STRING",
			"POSTGRES__HOST",
			"POSTGRES__DIRECT_HOST",
			"POSTGRES__SCHEMA",
			"KV_STORE__PERSISTENCE",
		],
	);
	addMigrateStatus(command);
	addMigrateRepair(command);
}

async function migrate(
	given: MigrateCommandOptions,
	invocation: Invocation,
): Promise<void> {
	const options = onTarget(given);
	const terminal = new Terminal(options);
	const { migrations, to, dryRun = false, lockTimeout } = options;
	if (dryRun)
		return withoutCreating(terminal, options, async (service) => {
			checkProviderName(service);
			const plan = await service.schema.plan({ migrations, to });
			if (isRefused(plan)) invocation.exitCode = 3;
			const models = to === undefined ? await plannedModels(service) : [];
			terminal.show({ plan, models }, describePlan(plan, models));
		});
	const any = { ...options, takesAnyTables: true };
	await withService(terminal, any, async (service) => {
		checkProviderName(service);
		const models = to === undefined ? await plannedModels(service) : [];
		const { applied } = await service.migrate({
			migrations,
			to,
			lockTimeoutMs: lockTimeout,
			signal: invocation.signal,
			onProgress: (progress) =>
				terminal.notice(
					progress.kind === "waiting"
						? "another migration is running: waiting for it"
						: `applying ${progress.name}`,
				),
		});
		await fillCache(terminal, service, invocation.signal);
		terminal.show({ applied, models }, describeApplied(applied, models));
	});
}

/** The tables would be left without a model: no code registers a provider in the command. */
function checkProviderName({ core, registry }: AnyService): void {
	const unknown = core.embedder.unknownProvider();
	const embeds = registry
		.all()
		.some(({ entity }) => entity.embedFields.length > 0);
	if (unknown === undefined || !embeds) return;
	throw new RemError(unknown.code, unknown.message, {
		hint: `${unknown.hint ?? "set EMBEDDING__PROVIDER"}; a provider of your own is EMBEDDING__PROVIDER=module:./provider.js`,
	});
}

/**
 * The command ends with a cache that is in use, where it can: a process that
 * ended would leave it to the first read. What was applied stays applied if that
 * fails or is stopped, and reads are answered from the tables.
 */
async function fillCache(
	terminal: Terminal,
	service: AnyService,
	signal: AbortSignal,
): Promise<void> {
	const late = setTimeout(() => {
		terminal.notice(
			"filling kv_store: reads are answered from the tables until then, and stopping loses nothing",
		);
	}, noticeAfterMs);
	try {
		await service.kv.ensureReady({ signal });
	} catch (error) {
		if (signal.aborted || !(error instanceof RemError)) throw error;
		terminal.warn(
			`kv_store is not filled yet: ${error.message}; reads are answered from the tables`,
		);
	} finally {
		clearTimeout(late);
	}
}

const noticeAfterMs = 1000;

function describeApplied(
	applied: readonly string[],
	models: readonly ModelSwitch[],
): Line[] {
	return applied.length === 0 && models.length === 0
		? ["up to date: nothing to do"]
		: [
				...applied.map((name) => `applied ${plainName(name)}`),
				...models.map((model) => describeSwitch(model, "embedding model of")),
			];
}

/** Tables whose texts are embedded with another model from now on. */
interface ModelSwitch {
	readonly tables: readonly string[];
	/** `null`: they have had none. */
	readonly from: string | null;
	readonly to: string;
}

async function plannedModels(service: AnyService): Promise<ModelSwitch[]> {
	const planned = await service.embeddings.plannedModels();
	const former = new Set(planned.map(({ from }) => from && spaceText(from)));
	return [...former].map((from) => {
		const group = planned.filter(
			(one) => (one.from && spaceText(one.from)) === from,
		);
		return {
			tables: group.map(({ tableName }) => tableName),
			from: from ?? null,
			to: group.map(({ to }) => spaceText(to))[0] ?? "",
		};
	});
}

function describeSwitch({ tables, from, to }: ModelSwitch, verb: string): Line {
	return `${verb} ${tables.join(", ")}: ${from ?? "none"} → ${to}`;
}

function plainName(name: string): string {
	return name.replace(/^entity:/, "table ").replace(/^file:/, "");
}

/** Whether `rem migrate` would end with an error instead. */
function isRefused({ files, differences }: MigrationPlan): boolean {
	return (
		files.some(({ undecidedLine }) => undecidedLine !== undefined) ||
		differences.some(({ risk, blocks }) => risk !== undefined && blocks)
	);
}

function describePlan(
	{ files, differences }: MigrationPlan,
	models: readonly ModelSwitch[],
): Line[] {
	const safe = differences.filter(({ risk }) => risk === undefined);
	const blocking = differences.filter(
		({ risk, blocks }) => risk !== undefined && blocks,
	);
	const questions = differences.filter(
		({ risk, blocks }) => risk?.kind === "rename" && !blocks,
	);
	const count = files.length + safe.length + blocking.length + models.length;
	if (count === 0) return ["up to date: nothing to do"];
	return [
		...files.map(({ name, undecidedLine }) =>
			undecidedLine === undefined
				? `would apply ${plainName(name)}`
				: `would refuse ${plainName(name)}: the dangerous statement at line ${undecidedLine} is not decided on`,
		),
		...questions.flatMap(({ table, messages, statements }) => [
			...messages.map((message) => `question about ${table}: ${message}`),
			"if it was, run this first:",
			...statements.flatMap((text) => text.split("\n")),
		]),
		...safe.flatMap(({ table, messages }) =>
			messages.map((message) => `would repair ${table}: ${message}`),
		),
		...models.map((model) =>
			describeSwitch(model, "would change the embedding model of"),
		),
		...blocking.flatMap(({ table, messages }) =>
			messages.map((message) => `would refuse ${table}: ${message}`),
		),
		...(blocking.length === 0
			? []
			: [
					`${counted(blocking.length, "difference")} to repair by hand: rem schema diff`,
				]),
	];
}

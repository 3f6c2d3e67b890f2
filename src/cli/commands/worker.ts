import type { Command } from "commander";
import { RemError } from "../../errors.ts";
import { roles } from "../../schema/row-security.ts";
import { type AnyService, openService } from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
	type Invocation,
	wholeNumber,
} from "../options.ts";
import { Terminal } from "../output/terminal.ts";
import { warnOfOtherModels } from "../undescribed-tables.ts";
import { HealthServer } from "../worker/health-server.ts";
import { ReadinessCheck } from "../worker/readiness.ts";
import { connectPatiently, runWorker } from "../worker/run-worker.ts";

interface WorkerOptions extends DatabaseOptions {
	readonly healthPort?: number;
}

/** `rem worker` */
export function addWorker(program: Command, invocation: Invocation): void {
	const command = program
		.command("worker")
		.helpGroup("Run:")
		.summary("embed, build indexes and maintain the cache, until stopped")
		.description(
			"Embeds texts that wait in the queue, builds indexes that are missing or invalid, and fills the cache of names when a crash or failover has emptied it. Run as many as you like; SIGTERM or Ctrl-C stops one after its current work. It waits for a database that is unreachable.",
		)
		.option(
			"--health-port <port>",
			"serve GET /livez and /readyz on this port (0: a free one)",
			wholeNumber(0, 65_535),
		)
		.action((options: WorkerOptions) => work(options, invocation));
	addHelp(
		addDatabaseOptions(command),
		[
			"rem worker",
			"rem worker --models src/models --health-port 8080",
			"curl localhost:8080/readyz",
		],
		[
			"POSTGRES__CONNECTION_STRING",
			"POSTGRES__HOST",
			"POSTGRES__RETRY_TIMEOUT_MS",
			"EMBEDDING__PROVIDER",
			"BACKGROUND_INDEX__ENABLED",
			"BACKGROUND_INDEX__CONCURRENCY",
		],
	);
}

async function work(
	options: WorkerOptions,
	invocation: Invocation,
): Promise<void> {
	const { signal } = invocation;
	const terminal = new Terminal(options);
	const readiness = new ReadinessCheck();
	invocation.endsBySignal = true;
	const health = await startHealth(options, readiness, terminal);
	try {
		const service = await connectPatiently(
			() => openService(terminal, options),
			terminal,
			signal,
		);
		if (service === undefined) return;
		try {
			refuseRowSecurity(service);
			readiness.use(service);
			await warnOfOtherModels(terminal, service, options);
			terminal.notice("working: embedding queue, index builds, kv_store");
			await runWorker(service, terminal, signal);
		} finally {
			readiness.use(undefined);
			await service.close();
		}
		terminal.notice("stopped");
	} finally {
		await health?.close();
	}
}

/** Such a connection sees one tenant: its worker would try forever, and do nothing. */
function refuseRowSecurity(service: AnyService): void {
	if (!service.core.settings.rowLevelSecurity) return;
	throw new RemError(
		"CONFIG_INVALID",
		"a worker serves all tenants, and row level security shows this connection one tenant",
		{ hint: `connect as a member of ${roles.owner}` },
	);
}

async function startHealth(
	{ healthPort }: WorkerOptions,
	readiness: ReadinessCheck,
	terminal: Terminal,
): Promise<HealthServer | undefined> {
	if (healthPort === undefined) return undefined;
	const health = await HealthServer.start(healthPort, () => readiness.reason());
	terminal.notice(`health: /livez and /readyz on port ${health.port}`);
	return health;
}

import type { Command } from "commander";
import { UsageError } from "../failure.ts";
import { withService } from "../open-service.ts";
import {
	addHelp,
	addScopeOptions,
	type Invocation,
	type ScopeOptions,
} from "../options.ts";
import { snakeNames } from "../output/json-text.ts";
import { counted } from "../output/numbers.ts";
import { Terminal } from "../output/terminal.ts";
import { isConfirmed } from "../rows/confirm.ts";
import { refuseUndescribed } from "../undescribed-tables.ts";

interface ForgetCommandOptions extends ScopeOptions {
	readonly yes?: boolean;
}

/** `rem forget --user U` */
export function addForget(program: Command, { signal }: Invocation): void {
	const command = program
		.command("forget")
		.helpGroup("Rows:")
		.summary("erase everything of a user or a tenant, for good")
		.description(
			"Erases all rows of a user, or without --user of a whole tenant, with their vectors, words, names and queued texts, soft-deleted rows too. Nothing brings them back but a backup. It works in batches: one that was stopped is finished by running it again. Tables that are not among the models are left alone.",
		)
		.option("-y, --yes", "do not ask")
		.action((options: ForgetCommandOptions) => forget(options, signal));
	addHelp(
		addScopeOptions(command),
		[
			"rem forget --user user123 --tenant acme-corp",
			"rem forget --tenant acme-corp --yes --json",
		],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__DEFAULT_TENANT"],
	);
}

async function forget(
	options: ForgetCommandOptions,
	signal: AbortSignal,
): Promise<void> {
	const terminal = new Terminal(options);
	const { user, tenant } = options;
	if (user === undefined && tenant === undefined)
		throw new UsageError(
			"whose data is to be erased is missing\n(pass --user, --tenant or both)",
		);
	const isAsked = isConfirmed(options, "forget");
	const any = { ...options, takesAnyTables: true, embeds: false };
	await withService(terminal, any, async (service) => {
		await refuseUndescribed(terminal, service, options);
		const tenantId = service.core.tenant(tenant);
		const whose = `${user === undefined ? "" : `user "${user}" of `}tenant "${tenantId}"`;
		if (!(await isAsked(`erase everything of ${whose} for good?`))) {
			terminal.notice("nothing was erased");
			return;
		}
		const bar = terminal.progress("forget", undefined);
		const { tables, ...total } = await service
			.forget({
				tenantId,
				...(user === undefined ? {} : { userId: user }),
				onProgress: ({ done }) => bar.update(done),
				signal,
			})
			.finally(bar.stop);
		const named = Object.entries(tables);
		terminal.show(
			{
				...snakeNames(total),
				tables: Object.fromEntries(
					named.map(([name, counts]) => [name, snakeNames(counts)]),
				),
			},
			[
				...named.map(
					([name, { rows, vectors }]) =>
						`${name}: ${counted(rows, "row")}, ${counted(vectors, "vector")}`,
				),
				`${counted(total.rows, "row")} of ${whose} erased`,
			],
		);
	});
}

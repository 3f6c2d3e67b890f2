import type { Command } from "commander";
import { RemError } from "../../errors.ts";
import type { BucketStatus } from "../../index.ts";
import {
	type AnyService,
	withoutCreating,
	withService,
} from "../open-service.ts";
import {
	addDatabaseOptions,
	addHelp,
	type DatabaseOptions,
	wholeNumber,
} from "../options.ts";
import { snakeNames } from "../output/json-text.ts";
import { bytes, counted, duration } from "../output/numbers.ts";
import { tableLines } from "../output/table.ts";
import { type Line, Terminal } from "../output/terminal.ts";
import { isConfirmed } from "../rows/confirm.ts";

const variables = [
	"POSTGRES__CONNECTION_STRING",
	"POSTGRES__BUCKETS",
	"POSTGRES__SCHEMA",
] as const;

/** `rem buckets status | move` */
export function addBuckets(program: Command): void {
	const buckets = program
		.command("buckets")
		.helpGroup("Maintain:")
		.summary(
			"the schemas that tenants are spread over: what they contain, where they are",
		)
		.description(
			"With POSTGRES__BUCKETS, tenants are spread over that many schemas, each with tables of its own. To move rows into such a database, or out of it: rem export, then rem load --commit-every.",
		);
	addStatus(buckets);
	addMove(buckets);
}

/** `rem buckets status` */
function addStatus(buckets: Command): void {
	const command = buckets
		.command("status")
		.summary("rows, tenants, bytes and node of each bucket")
		.description(
			"Counts the rows of each bucket, also soft-deleted ones, its tenants and its bytes on disk, and names the node where Citus has placed it. Every row is counted: it reads an index of each table.",
		)
		.action(async (options: DatabaseOptions) => {
			const terminal = new Terminal(options);
			const reader = { ...options, isLong: true };
			const found = await withoutCreating(
				terminal,
				{ ...reader, embeds: false },
				(service) => statusOf(service),
			);
			terminal.show(
				{ buckets: found.map(snakeNames) },
				statusLines(found, terminal.width),
			);
		});
	addHelp(
		addDatabaseOptions(command),
		[
			"rem buckets status",
			"rem buckets status --json | jq '.buckets | max_by(.bytes)'",
		],
		variables,
	);
}

/** Buckets without any table do not exist yet: a migration creates all of them. */
async function statusOf(service: AnyService): Promise<BucketStatus[]> {
	const found = await service.buckets.status();
	const { length } = service.registry.all();
	if (found.some(({ missing }) => missing.length < length)) return found;
	throw new RemError(
		"SCHEMA_DRIFT",
		`none of the ${counted(found.length, "bucket")} has the tables of the models`,
		{ hint: "run `rem migrate` first" },
	);
}

function statusLines(found: readonly BucketStatus[], width: number): Line[] {
	const sum = (of: (bucket: BucketStatus) => number) =>
		found.reduce((total, bucket) => total + of(bucket), 0);
	const lacking = found.filter(({ missing }) => missing.length > 0);
	return [
		...tableLines(
			found,
			[
				{ title: "bucket", value: ({ bucket }) => bucket, isRight: true },
				{ title: "schema", value: ({ schema }) => schema },
				{ title: "rows", value: ({ rows }) => rows, isRight: true },
				{ title: "tenants", value: ({ tenants }) => tenants, isRight: true },
				{ title: "size", value: (one) => bytes(one.bytes), isRight: true },
				{ title: "node", value: ({ node }) => node },
			],
			width,
		),
		`${counted(found.length, "bucket")}: ${counted(
			sum(({ rows }) => rows),
			"row",
		)} of ${counted(
			sum(({ tenants }) => tenants),
			"tenant",
		)}, ${bytes(sum((one) => one.bytes))}`,
		...lacking.map(
			({ schema, missing }) =>
				`${schema} lacks ${missing.join(", ")}: rem migrate creates what is missing`,
		),
	];
}

interface MoveCommandOptions extends DatabaseOptions {
	readonly to: string;
	readonly yes?: boolean;
}

/** `rem buckets move N --to NODE` */
function addMove(buckets: Command): void {
	const command = buckets
		.command("move")
		.summary("move a bucket to another node of a Citus cluster")
		.description(
			"Lets Citus move the schema of a bucket, and returns when its cache of names is ready there. While a bucket with unlogged tables moves, writes to it wait: the cache is unlogged unless KV_STORE__PERSISTENCE=logged and `rem migrate` made it logged. Without unlogged tables Citus replicates while others write.",
		)
		.argument("<bucket>", "its number, from 0", wholeNumber(0, 1_000_000))
		.requiredOption("--to <node>", "the node as Citus names it: host:port")
		.option("-y, --yes", "do not ask")
		.action(move);
	addHelp(
		addDatabaseOptions(command),
		[
			"rem buckets move 12 --to 10.0.0.7:5432",
			"rem buckets move 12 --to 10.0.0.7:5432 --yes --json",
		],
		[...variables, "KV_STORE__PERSISTENCE"],
	);
}

async function move(
	bucket: number,
	options: MoveCommandOptions,
): Promise<void> {
	const terminal = new Terminal(options);
	const isAsked = isConfirmed(options, "buckets move");
	const { to } = options;
	await withService(
		terminal,
		{ ...options, embeds: false },
		async (service) => {
			const [found] = await service.buckets.status({ buckets: [bucket] });
			// Without Citus, the move reports what is missing.
			if (found !== undefined && found.node !== null) {
				for (const line of planLines(found, to)) terminal.notice(line);
				if (!(await isAsked(`move bucket ${bucket} to ${to}?`))) {
					terminal.notice("nothing was moved");
					return;
				}
			}
			const result = await service.buckets.move({ bucket, to });
			terminal.show(snakeNames(result), [
				result.moved
					? `bucket ${bucket} (${result.schema}) moved from ${result.from} to ${result.to} in ${duration(result.durationMs)}; its cache of names is ready`
					: `bucket ${bucket} (${result.schema}) is on ${result.to} already`,
			]);
		},
	);
}

/** What the move is about, and what it needs. */
function planLines(found: BucketStatus, to: string): string[] {
	const { schema, rows, tenants, node, unlogged } = found;
	return [
		`${schema}: ${counted(rows, "row")} of ${counted(tenants, "tenant")}, ${bytes(found.bytes)}, from ${node} to ${to}`,
		unlogged.length > 0
			? `writes to it wait until it has moved: ${unlogged.join(", ")} ${unlogged.length === 1 ? "is" : "are"} unlogged (KV_STORE__PERSISTENCE=logged, then rem migrate, lets Citus replicate it instead)`
			: "others read and write while Citus replicates it; that needs wal_level = logical on the nodes",
	];
}

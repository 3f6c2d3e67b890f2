import type { Command } from "commander";
import type { LookupHit } from "../../index.ts";
import { withReader } from "../open-service.ts";
import {
	addHelp,
	addScopeOptions,
	type ScopeOptions,
	scopeOf,
} from "../options.ts";
import { snakeNames } from "../output/json-names.ts";
import { oneLine } from "../output/plain-text.ts";
import { heading, type Line, Terminal } from "../output/terminal.ts";
import { cut } from "../output/text-width.ts";

interface LookupCommandOptions extends ScopeOptions {
	readonly type?: string;
}

/** `rem lookup KEY…` */
export function addLookup(program: Command): void {
	const command = program
		.command("lookup")
		.helpGroup("Find:")
		.summary("find entities by name, in any spelling")
		.description(
			'Finds entities by their natural key: "Sarah Chen", "sarah-chen" and SARAH_CHEN are one name.',
		)
		.argument("<key...>", "names to look up, all in one statement")
		.option("--type <table>", "only entities of this table")
		.action(lookup);
	addHelp(
		addScopeOptions(command),
		[
			"rem lookup sarah-chen",
			'rem lookup "Api Design Doc" deployment-guide --tenant acme-corp --json',
		],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__DEFAULT_TENANT"],
	);
}

async function lookup(
	keys: readonly string[],
	options: LookupCommandOptions,
): Promise<void> {
	const terminal = new Terminal(options);
	const hits = await withReader(terminal, options, (service) =>
		service.lookupEntities({
			entityKeys: keys,
			...scopeOf(options),
			...(options.type === undefined ? {} : { entityType: options.type }),
		}),
	);
	const found = new Set(hits.map(({ requestedKey }) => requestedKey));
	const missing = keys.filter((key) => !found.has(key));
	terminal.show(
		hits.map(snakeNames),
		hits.flatMap((hit) => describeHit(hit, terminal.width)),
	);
	for (const key of missing) terminal.notice(`nothing is named "${key}"`);
}

/** A hit as a block of lines, without what it has not. */
export function describeHit(hit: LookupHit, width: number): Line[] {
	const edges = hit.graphEdges.map(({ rel_type, dst }) => `${rel_type} ${dst}`);
	const facts = [
		["table", hit.entityType],
		["id", hit.entityId],
		["user", hit.userId ?? ""],
		["about", oneLine(hit.contentSummary ?? "")],
		["metadata", isEmpty(hit.metadata) ? "" : JSON.stringify(hit.metadata)],
		["edges", edges.join(", ")],
	] as const;
	return [
		heading(hit.entityKey),
		...facts
			.filter(([, value]) => value !== "")
			.map(([name, value]) => cut(`  ${name.padEnd(9)} ${value}`, width)),
	];
}

function isEmpty(record: Readonly<Record<string, unknown>>): boolean {
	return Object.keys(record).length === 0;
}

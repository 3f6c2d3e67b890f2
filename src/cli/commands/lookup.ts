import type { Command } from "commander";
import type { LookupHit } from "../../index.ts";
import { writeJson } from "../../models/json-text.ts";
import type { Registry } from "../../models/registry.ts";
import { withReader } from "../open-service.ts";
import {
	addHelp,
	addReadOptions,
	type ReadScopeOptions,
	readScopeOf,
} from "../options.ts";
import { columnNames, jsonText, snakeNames } from "../output/json-text.ts";
import { oneLine } from "../output/plain-text.ts";
import { heading, type Line, Terminal } from "../output/terminal.ts";
import { cut } from "../output/text-width.ts";
import { noticeNothing } from "../rows/tenant-of-nothing.ts";

interface LookupCommandOptions extends ReadScopeOptions {
	readonly type?: string;
	readonly hydrate?: boolean;
}

/** `rem lookup KEY…` */
export function addLookup(program: Command): void {
	const command = program
		.command("lookup")
		.helpGroup("Find:")
		.summary("find entities by name, whatever its case and marks")
		.description(
			'Finds entities by their natural key: "Sarah Chen", "sarah-chen" and SARAH_CHEN are one name.',
		)
		.argument("<key...>", "names to look up, all in one statement")
		.option("-t, --type <table>", "only entities of this table")
		.option("--hydrate", "show the whole row of each")
		.action(lookup);
	addHelp(
		addReadOptions(command),
		[
			"rem lookup sarah-chen",
			'rem lookup "Api Design Doc" deployment-guide --tenant acme-corp --json',
			"rem lookup sarah-chen --hydrate",
		],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__DEFAULT_TENANT"],
	);
}

async function lookup(
	keys: readonly string[],
	options: LookupCommandOptions,
): Promise<void> {
	const terminal = new Terminal(options);
	const { hits, registry } = await withReader(
		terminal,
		{ ...options, embeds: false },
		async (service) => {
			const hits = (await service.lookupEntities({
				entityKeys: keys,
				...readScopeOf(options),
				...(options.type === undefined ? {} : { entityType: options.type }),
				hydrate: options.hydrate === true,
			})) as LookupHit[];
			if (hits.length === 0)
				await noticeNothing(terminal, service, {
					options,
					text: "nothing was found",
				});
			return { hits, registry: service.registry };
		},
	);
	const found = new Set(hits.map(({ requestedKey }) => requestedKey));
	const missing = keys.filter((key) => !found.has(key));
	terminal.show(
		hits.map((hit) => jsonHit(hit, registry)),
		hits.flatMap((hit) => [
			...describeHit(hit, terminal.width),
			...describeRecord(hit, terminal.width),
		]),
	);
	for (const key of missing) terminal.notice(`nothing is named "${key}"`);
}

function jsonHit(hit: LookupHit, registry: Registry): Record<string, unknown> {
	if (hit.record === undefined) return snakeNames(hit);
	const { entity } = registry.get(hit.entityType);
	return { ...snakeNames(hit), record: columnNames(entity, hit.record) };
}

/** A hit as a block of lines, without what it has not. */
export function describeHit(hit: LookupHit, width: number): Line[] {
	const edges = hit.graphEdges.map(({ rel_type, dst }) => `${rel_type} ${dst}`);
	const fields = [
		["table", hit.entityType],
		["id", hit.entityId],
		["user", hit.userId ?? ""],
		["about", oneLine(hit.contentSummary ?? "")],
		["metadata", isEmpty(hit.metadata) ? "" : writeJson(hit.metadata)],
		["edges", edges.join(", ")],
	] as const;
	return [
		heading(hit.entityKey),
		...fields
			.filter(([, value]) => value !== "")
			.map(([name, value]) => cut(`  ${name.padEnd(9)} ${value}`, width)),
	];
}

/** The row's own fields, one a line: its cached fields stand above. */
function describeRecord({ record = {} }: LookupHit, width: number): Line[] {
	return Object.entries(record)
		.filter(([name, value]) => value !== null && !shownAbove.has(name))
		.map(([name, value]) => cut(`    ${name} = ${valueText(value)}`, width));
}

const shownAbove = new Set(["id", "userId", "metadata", "graphEdges"]);

function valueText(value: unknown): string {
	if (value instanceof Date) return value.toISOString();
	return oneLine(typeof value === "string" ? value : jsonText(value));
}

function isEmpty(record: Readonly<Record<string, unknown>>): boolean {
	return Object.keys(record).length === 0;
}

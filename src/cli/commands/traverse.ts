import { type Command, Option } from "commander";
import type {
	Direction,
	Traversal,
	TraverseNode,
	TraverseOrder,
} from "../../index.ts";
import { type AnyService, withReader } from "../open-service.ts";
import {
	addHelp,
	addReadOptions,
	limitOption,
	type ReadScopeOptions,
	readScopeOf,
	wholeNumber,
} from "../options.ts";
import { snakeNames } from "../output/json-text.ts";
import { type Column, tableLines } from "../output/table.ts";
import { type Line, Terminal } from "../output/terminal.ts";
import { noticeNothing } from "../rows/tenant-of-nothing.ts";

interface TraverseCommandOptions extends ReadScopeOptions {
	readonly depth: number;
	readonly limit: number;
	readonly direction: Direction;
	readonly type?: readonly string[];
	readonly orderBy?: TraverseOrder;
}

/** `rem traverse KEY` */
export function addTraverse(program: Command): void {
	const command = program
		.command("traverse")
		.helpGroup("Find:")
		.summary("find what an entity is connected with")
		.description(
			"Follows the edges of an entity, breadth first: each entity once, with the way that leads to it. With --depth 0 it counts the edges there are.",
		)
		.argument("<key>", "a name in any case, table/name, or an id")
		.addOption(
			new Option("--depth <n>", "steps from the entity, 0 to 10")
				.argParser(wholeNumber(0, 10))
				.default(1),
		)
		.option("--type <types...>", "only edges of these types")
		.addOption(
			new Option("--direction <way>", "along the edges, against them, or both")
				.choices(["out", "in", "both"])
				.default("out"),
		)
		.option(
			"--order-by <fields>",
			'depth, weight, rel_type, created_at, entity_key or entity_type: "weight desc"',
		)
		.addOption(limitOption(50))
		.action(traverse);
	addHelp(
		addReadOptions(command),
		[
			"rem traverse sarah-chen --depth 2",
			"rem traverse projects/apollo --direction in --type manages works_on --json",
			"rem traverse sarah-chen --depth 0 --direction both",
		],
		["POSTGRES__CONNECTION_STRING", "POSTGRES__DEFAULT_TENANT"],
	);
}

async function traverse(
	from: string,
	options: TraverseCommandOptions,
): Promise<void> {
	const terminal = new Terminal(options);
	const { depth, limit, direction, type, orderBy } = options;
	const found = await withReader(
		terminal,
		{ ...options, embeds: false },
		async (service) => {
			const found = await service.traverse({
				from,
				depth,
				limit,
				direction,
				...readScopeOf(options),
				...(type === undefined ? {} : { edgeTypes: type }),
				...(orderBy === undefined ? {} : { orderBy }),
			});
			if (found.from === undefined)
				await noticeNothing(terminal, service, {
					options,
					text: "nothing was found",
				});
			else if (type !== undefined && nothingFound(found))
				await noticeTypes(terminal, service, {
					from,
					direction,
					...readScopeOf(options),
				});
			return found;
		},
	);
	terminal.show(jsonTraversal(found), traversalLines(found, terminal.width));
	noticeTraversal(terminal, found, from);
}

export function nothingFound({
	nodes,
	edges,
	dangling,
	ambiguous,
}: Traversal): boolean {
	return [nodes, edges, dangling, ambiguous].every(
		({ length }) => length === 0,
	);
}

/** The types that the entity's edges have: a mistyped one finds nothing. They are counted, as with --depth 0. */
export async function noticeTypes(
	terminal: Terminal,
	service: AnyService,
	of: { readonly from: string; readonly direction: Direction },
): Promise<void> {
	if (!terminal.hasNotices || terminal.isJson) return;
	// Without it the result is what it is.
	const counted = await service
		.traverse({ ...of, depth: 0 })
		.catch(() => undefined);
	const edges = counted?.edges ?? [];
	const types = [...new Set(edges.map(({ relType }) => relType))].sort();
	if (types.length === 0) return;
	const shown = types.slice(0, shownTypes).map((type) => `"${type}"`);
	const more = types.length - shown.length;
	terminal.notice(
		`its edges are of the types ${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`,
	);
}

const shownTypes = 10;

/** As JSON prints it. */
export function jsonTraversal(found: Traversal): Record<string, unknown> {
	return {
		...snakeNames(found),
		...(found.from === undefined ? {} : { from: snakeNames(found.from) }),
		nodes: found.nodes.map(snakeNames),
		edges: found.edges.map(snakeNames),
	};
}

export function traversalLines(found: Traversal, width: number): Line[] {
	return [
		...tableLines(found.nodes, nodeColumns, width),
		...tableLines(found.edges, edgeColumns, width),
	];
}

const nodeColumns: readonly Column<TraverseNode>[] = [
	{ title: "DEPTH", value: ({ depth }) => depth, isRight: true },
	{ title: "NAME", value: ({ entityKey }) => entityKey },
	{ title: "TABLE", value: ({ entityType }) => entityType },
	{
		title: "BY",
		value: ({ edge, direction }) =>
			direction === "out" ? `${edge.rel_type} →` : `← ${edge.rel_type}`,
	},
	{ title: "WAY", value: ({ path }) => path.slice(0, -1).join(" · ") },
];

const edgeColumns: readonly Column<Traversal["edges"][number]>[] = [
	{ title: "EDGES", value: ({ count }) => count, isRight: true },
	{ title: "TYPE", value: ({ relType }) => relType },
	{ title: "DIRECTION", value: ({ direction }) => direction },
];

/** What a traversal reports besides its result. */
export function noticeTraversal(
	terminal: Terminal,
	found: Traversal,
	name?: string,
): void {
	const { from, nodes, edges, dangling, ambiguous, isComplete } = found;
	if (from === undefined)
		terminal.notice(
			name === undefined ? "nothing is named so" : `nothing is named "${name}"`,
		);
	else if (nodes.length + edges.length === 0)
		terminal.notice(`"${from.entityKey}" has no such edges`);
	for (const { dst, matches, taken } of ambiguous)
		terminal.notice(`${matches} entities are named "${dst}": took ${taken}`);
	for (const { from: source, edge } of dangling)
		terminal.notice(
			`nothing is named "${edge.dst}", where ${edge.rel_type} of "${source}" leads`,
		);
	if (!isComplete) terminal.notice("there is more: a shorter --depth sees all");
}

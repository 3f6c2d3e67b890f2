import { holdingRef } from "../../db/tables.ts";
import { RemError } from "../../errors.ts";
import {
	characters,
	isBlank,
	keyProblem,
	limits,
	textProblem,
} from "../../models/limits.ts";
import { elementAt } from "../../util/present.ts";
import {
	type CacheReader,
	type EntryRow,
	readCached,
	toEntry,
} from "../cached-read.ts";
import { checkLimit, checkScope } from "../scope.ts";
import {
	type GraphContext,
	inSql,
	type NameContext,
	outCountSql,
	outSql,
	type PageContext,
	type StepRow,
	startSql,
} from "./graph-sql.ts";
import type {
	AmbiguousTarget,
	DanglingEdge,
	EdgeCount,
	GraphNode,
	Traversal,
	TraverseNode,
	TraverseRequest,
} from "./traversal.ts";
import { parseTraverseOrder, sortNodes } from "./traverse-order.ts";

/** What a traversal reads with. */
export interface GraphReader extends CacheReader {
	/** Entity types whose rows are behind row level security. @default none */
	readonly securedTypes?: readonly string[];
}

const defaults = {
	depth: 1,
	direction: "out",
	limit: 50,
	nodeBudget: 10_000,
} as const;

const maxNodes = 100_000;

/**
 * Everything within reach of an entity, breadth first: one or two statements a
 * step, however many nodes it has. Each entity comes once, by its shortest way;
 * of several ways of one length, by the edge that was met first.
 */
export async function traverse(
	reader: GraphReader,
	request: TraverseRequest,
): Promise<Traversal> {
	checkTraverse(request);
	const { depth = defaults.depth } = request;
	const { limit = defaults.limit } = request;
	const order = parseTraverseOrder(request.orderBy);
	const walk = new Walk(request);
	const names = { schema: reader.schema, scope: request };
	const found = await findNode(reader, request.from, names);
	if (found === undefined) return walk.result(undefined, []);
	walk.begin(found, request.from);
	const start = found.node;
	if (depth === 0) {
		const counts = await countEdges(reader, start, request);
		return walk.result(start, [], counts);
	}
	let frontier: readonly GraphNode[] = [start];
	for (let step = 1; step <= depth && frontier.length > 0; step++) {
		const before = walk.nodes.length;
		// In the order in which they are met, what comes after the limit is cut off.
		const enough = order.length === 0 ? limit : Number.POSITIVE_INFINITY;
		for await (const page of readSteps(reader, frontier, walk)) {
			walk.take(page, frontier, step);
			if (walk.nodes.length >= enough || !walk.isComplete) break;
		}
		if (walk.nodes.length >= enough || !walk.isComplete) break;
		frontier = walk.nodes.slice(before);
	}
	return walk.result(start, sortNodes(walk.nodes, order).slice(0, limit));
}

function checkTraverse(request: TraverseRequest): void {
	checkScope(request);
	checkEntityName("from", request.from);
	const { depth = defaults.depth, direction = defaults.direction } = request;
	if (!Number.isInteger(depth) || depth < 0 || depth > limits.traverseDepth)
		throw new RemError(
			"INPUT_LIMIT",
			`depth is ${depth}, expected a whole number from 0 to ${limits.traverseDepth}`,
		);
	if (!["out", "in", "both"].includes(direction))
		throw new RemError("VALIDATION", "direction is none of out, in, both");
	checkLimit(request.limit ?? defaults.limit);
	const { nodeBudget = defaults.nodeBudget, edgeTypes = [] } = request;
	if (!Number.isInteger(nodeBudget) || nodeBudget < 1 || nodeBudget > maxNodes)
		throw new RemError(
			"INPUT_LIMIT",
			`nodeBudget is ${nodeBudget}, expected a whole number from 1 to ${maxNodes}`,
		);
	if (!Array.isArray(edgeTypes))
		throw new RemError("VALIDATION", "edgeTypes must be an array");
	for (const type of edgeTypes) checkReference("edgeTypes", type);
}

/** Throws unless the text can name an entity. */
export function checkEntityName(name: string, text: string): void {
	checkReference(name, text);
	const problem = keyProblem(text);
	if (problem !== undefined)
		throw new RemError("VALIDATION", `${name} ${problem}`);
}

// `table/key`, with the longest of both.
const longestReference = limits.keyLength + limits.scopeLength;

/** Throws unless the text can name an entity or a type of edge. */
export function checkReference(name: string, text: string): void {
	if (typeof text !== "string" || text === "")
		throw new RemError("VALIDATION", `${name} is empty or no text`);
	const problem = textProblem(text);
	if (problem !== undefined)
		throw new RemError("VALIDATION", `${name} ${problem}`);
	if (isBlank(text)) throw new RemError("VALIDATION", `${name} is blank`);
	if (characters(text) > longestReference)
		throw new RemError(
			"INPUT_LIMIT",
			`${name} has ${characters(text)} characters, at most ${longestReference} are allowed`,
		);
}

function contextOf(
	{ schema }: GraphReader,
	request: TraverseRequest,
): GraphContext {
	const { edgeTypes } = request;
	return {
		schema,
		scope: request,
		edgeTypes: edgeTypes?.length === 0 ? undefined : edgeTypes,
	};
}

/** An entity, and how many have the name by which it was found. */
export interface NamedNode {
	readonly node: GraphNode;
	readonly matches: number;
}

/** The entity that the text names, as LOOKUP would choose it. */
export async function findNode(
	reader: GraphReader,
	text: string,
	context: NameContext,
): Promise<NamedNode | undefined> {
	const [row] = await readCached<EntryRow & { matches: number }>(
		reader,
		(entries) => startSql(entries, text, context),
		planned,
	);
	return row && { node: toEntry(row), matches: row.matches };
}

/** One name for the plans of all statements of a traversal. */
const planned = { name: "traverse" };

// Few traversals need more; each further page is four times as long.
const firstPage = 500;

/** Where the edges of the frontier lead, in pages: of a hub, few may be wanted. */
async function* readSteps(
	reader: GraphReader,
	frontier: readonly GraphNode[],
	walk: Walk,
): AsyncGenerator<Page> {
	const { request } = walk;
	const { direction = defaults.direction, limit: wanted = defaults.limit } =
		request;
	const context = contextOf(reader, request);
	const isOrdered = parseTraverseOrder(request.orderBy).length > 0;
	if (direction !== "in") {
		let offset = 0;
		// All edges are sorted for each page: no page more than there have to be.
		const first = isOrdered ? walk.budget + 1 : Math.max(firstPage, wanted);
		for (let size = first; ; size *= 4) {
			const limit = Math.min(size, walk.budget + 1);
			const page = { ...context, limit, offset };
			const rows = await readCached<StepRow>(
				reader,
				(entries) => outSql(entries, frontier, page),
				planned,
			);
			yield { rows, direction: "out" };
			if (rows.length < limit) break;
			offset += limit;
		}
	}
	if (direction !== "out") {
		// All of them are found for each page: a second one reads the rest.
		const isPaged = wanted <= firstPage && !isOrdered;
		let offset = 0;
		for (;;) {
			const isFirst = isPaged && offset === 0;
			const rest = walk.budget + 1;
			const limit = isFirst ? Math.min(firstPage, rest) : rest;
			const page = { ...context, limit, offset };
			const rows = await readIncoming(reader, frontier, page);
			yield { rows, direction: "in" };
			if (!isFirst || rows.length < limit) break;
			offset = limit;
		}
	}
}

async function readIncoming(
	reader: GraphReader,
	frontier: readonly GraphNode[],
	context: PageContext,
): Promise<StepRow[]> {
	const sources = await reader.fallback.sources(reader.db);
	if (sources.length === 0) return [];
	const { schema } = reader;
	const searched = sources.map(({ entityType, view }) => ({
		entityType,
		view,
		finder: reader.securedTypes?.includes(entityType)
			? holdingRef(schema, entityType)
			: undefined,
	}));
	return readCached<StepRow>(
		reader,
		(entries) => inSql({ ...entries, sources: searched }, frontier, context),
		planned,
	);
}

async function countEdges(
	reader: GraphReader,
	start: GraphNode,
	request: TraverseRequest,
): Promise<EdgeCount[]> {
	const { direction = defaults.direction } = request;
	const context = {
		...contextOf(reader, request),
		limit: maxNodes,
		offset: 0,
	};
	const counts: EdgeCount[] = [];
	if (direction !== "in") {
		const rows = await readCached<{ rel_type: string; count: number }>(
			reader,
			(entries) => outCountSql(entries, start, context),
			planned,
		);
		for (const { rel_type: relType, count } of rows)
			counts.push({ relType, direction: "out", count });
	}
	if (direction !== "out") {
		const incoming = new Map<string, number>();
		for (const { edge } of await readIncoming(reader, [start], context))
			incoming.set(edge.rel_type, (incoming.get(edge.rel_type) ?? 0) + 1);
		for (const [relType, count] of incoming)
			counts.push({ relType, direction: "in", count });
	}
	return counts.sort((a, b) => b.count - a.count);
}

/** Edges of a step, all followed in one direction. */
interface Page {
	readonly rows: readonly StepRow[];
	readonly direction: "out" | "in";
}

/** What a traversal has met so far. */
class Walk {
	readonly request: TraverseRequest;
	readonly nodes: TraverseNode[] = [];
	isComplete = true;
	/** Targets that may still be looked at. */
	budget: number;
	readonly #paths = new Map<string, readonly string[]>();
	readonly #dangling: DanglingEdge[] = [];
	readonly #ambiguous = new Map<string, AmbiguousTarget>();

	constructor(request: TraverseRequest) {
		this.request = request;
		this.budget = request.nodeBudget ?? defaults.nodeBudget;
	}

	begin({ node, matches }: NamedNode, text: string): void {
		this.#paths.set(idOf(node), [node.entityKey]);
		if (matches > 1) this.#note(text, node, matches);
	}

	/** Stores what is new. */
	take(
		{ rows, direction }: Page,
		frontier: readonly GraphNode[],
		depth: number,
	): void {
		for (const row of rows) {
			if (this.budget === 0) {
				this.isComplete = false;
				return;
			}
			this.budget--;
			const parent = elementAt(frontier, row.rem_ord);
			const { edge, matches } = row;
			if (matches === 0) {
				this.#dangling.push({ from: parent.entityKey, edge });
				continue;
			}
			const found = row as EntryRow;
			if (matches > 1)
				this.#note(
					edge.dst,
					direction === "out" ? toEntry(found) : parent,
					matches,
				);
			const id = `${found.entity_type}/${found.entity_id}`;
			if (this.#paths.has(id)) continue;
			const before = this.#paths.get(idOf(parent)) ?? [];
			const path = [...before, found.entity_key];
			this.#paths.set(id, path);
			// By its properties: with those of another object spread into it, it took eight times as long.
			this.nodes.push({
				entityKey: found.entity_key,
				entityType: found.entity_type,
				entityId: found.entity_id,
				userId: found.user_id,
				metadata: found.metadata,
				contentSummary: found.content_summary,
				depth,
				path,
				edge,
				direction,
			});
		}
	}

	result(
		from: GraphNode | undefined,
		nodes: readonly TraverseNode[],
		edges: readonly EdgeCount[] = [],
	): Traversal {
		return {
			from,
			nodes,
			edges,
			dangling: this.#dangling,
			ambiguous: [...this.#ambiguous.values()],
			isComplete: this.isComplete,
		};
	}

	#note(dst: string, target: GraphNode, matches: number): void {
		const taken = `${target.entityType}/${target.entityKey}`;
		this.#ambiguous.set(dst, { dst, matches, taken });
	}
}

function idOf({ entityType, entityId }: GraphNode): string {
	return `${entityType}/${entityId}`;
}

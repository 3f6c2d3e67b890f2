import { useEffect, useLayoutEffect, useMemo, useState } from "preact/hooks";
import type {
	GraphNode,
	GraphRequest,
	GraphResponse,
} from "../../../../src/studio/api/entities.ts";
import { Scrolls } from "../../components/scrolls.tsx";
import { Segments } from "../../components/segments.tsx";
import { Empty, Loading, Show } from "../../components/states.tsx";
import { api } from "../../lib/api.ts";
import { count, counted } from "../../lib/format.ts";
import { useEscape } from "../../lib/keys.ts";
import { useLoad } from "../../lib/load.ts";
import { namesOf, textOfNames, toggled } from "../../lib/names.ts";
import { hrefOf, hrefWith, setParams, useRoute } from "../../lib/router.ts";
import { useScope, useStudio } from "../../lib/studio.ts";
import type DrawingComponent from "./drawing.tsx";
import { edgeTypesOf, merge, type Neighbourhood } from "./neighbourhood.ts";

/** The neighbourhood of one entity, wider at each node that is clicked. */
export function GraphPage() {
	const { params } = useRoute();
	return (
		<>
			<div class="page-head">
				<h1>Graph</h1>
				<p>
					An entity and what its edges lead to. Click a node to go on there.
				</p>
			</div>
			<StartForm />
			{params.from === undefined ? (
				<Start />
			) : (
				<Neighbours key={params.from} from={params.from} />
			)}
		</>
	);
}

const directions = [
	{ value: "both", text: "Both" },
	{ value: "out", text: "Out" },
	{ value: "in", text: "In" },
] as const;
type Direction = (typeof directions)[number]["value"];

const depths = [
	{ value: "1", text: "1 step" },
	{ value: "2", text: "2 steps" },
	{ value: "3", text: "3 steps" },
] as const;
type Depth = (typeof depths)[number]["value"];

function directionOf(text: string | undefined): Direction {
	return directions.find(({ value }) => value === text)?.value ?? "both";
}

function depthOf(text: string | undefined): Depth {
	return depths.find(({ value }) => value === text)?.value ?? "1";
}

function StartForm() {
	const { params } = useRoute();
	const [text, setText] = useState(params.from ?? "");
	useLayoutEffect(() => setText(params.from ?? ""), [params.from]);
	const submit = (event: Event) => {
		event.preventDefault();
		setParams({
			from: text.trim(),
			expanded: undefined,
			node: undefined,
			types: undefined,
		});
	};
	return (
		<section class="card" aria-label="Start">
			<div class="body stack tight">
				<form class="query-line" onSubmit={submit}>
					<input
						class="input"
						data-search
						aria-label="Start"
						placeholder="Key of an entity, table/key, or an id"
						spellcheck={false}
						value={text}
						onInput={({ currentTarget }) => setText(currentTarget.value)}
					/>
					<button type="submit" class="button primary">
						Show
					</button>
				</form>
				<div class="row">
					<Segments
						label="Direction"
						options={directions}
						chosen={directionOf(params.direction)}
						href={(direction) => hrefWith({ direction })}
					/>
					<Segments
						label="Depth"
						options={depths}
						chosen={depthOf(params.depth)}
						href={(depth) => hrefWith({ depth })}
					/>
				</div>
			</div>
		</section>
	);
}

/** Entities to begin with: the first of each table. */
function Start() {
	const scope = useScope();
	const { tables } = useStudio();
	const first = useLoad(
		{ ...scope, names: tables.map(({ name }) => name) },
		first5,
	);
	return (
		<section class="card">
			<Empty title="Which entity?">
				<p>Name one above, or begin with one of these.</p>
				<Show loaded={first} label="Entities">
					{(rows) =>
						rows.length === 0 ? (
							<p>
								There are no entities yet: load some with <code>rem load</code>.
							</p>
						) : (
							<ul class="row">
								{rows.map(({ entityType, entityId, title }) => (
									<li key={entityId}>
										<a
											class="badge accent"
											data-row
											href={hrefOf("graph", { from: entityId })}
											title={entityType}
										>
											{title}
										</a>
									</li>
								))}
							</ul>
						)
					}
				</Show>
			</Empty>
		</section>
	);
}

async function first5(
	{
		names,
		...scope
	}: { names: readonly string[]; tenantId?: string; userId?: string | null },
	signal: AbortSignal,
) {
	const lists = await Promise.all(
		names.map((table) => api.list({ ...scope, table, limit: 5 }, signal)),
	);
	return lists.flatMap(({ rows }) => rows);
}

interface Wanted {
	readonly base: Omit<GraphRequest, "from">;
	readonly depth: number;
	readonly from: string;
	readonly expanded: readonly string[];
}

/** The start, and one step more at each node that was expanded. */
async function loadAll(
	{ base, depth, from, expanded }: Wanted,
	signal: AbortSignal,
): Promise<GraphResponse[]> {
	const first = await api.graph({ ...base, depth, from }, signal);
	const start = first.from?.entityId;
	const more = await Promise.all(
		expanded
			.filter((id) => id !== start)
			.map((id) => api.graph({ ...base, depth: 1, from: id }, signal)),
	);
	return [first, ...more];
}

function Neighbours({ from }: { readonly from: string }) {
	const { params } = useRoute();
	const scope = useScope();
	const studio = useStudio();
	const limit = studio.limits.graphNodes;
	const expanded = namesOf(params.expanded);
	const types = namesOf(params.types);
	const wanted: Wanted = {
		base: {
			...scope,
			limit,
			direction: directionOf(params.direction),
			...(types.length === 0 ? {} : { edgeTypes: types }),
		},
		depth: Number(depthOf(params.depth)),
		from,
		expanded,
	};
	const loaded = useLoad(wanted, loadAll);
	const closeNode = params.node === undefined ? undefined : deselect;
	useEscape(closeNode);
	return (
		<Show loaded={loaded} label="The neighbourhood">
			{(answers) => <Shown answers={answers} limit={limit} />}
		</Show>
	);
}

function deselect(): void {
	setParams({ node: undefined });
}

function Shown({
	answers,
	limit,
}: {
	readonly answers: readonly GraphResponse[];
	readonly limit: number;
}) {
	const { params } = useRoute();
	const graph = useMemo(() => merge(answers, limit), [answers, limit]);
	const start = answers[0]?.from ?? null;
	if (start === null)
		return (
			<section class="card">
				<Empty title={`No entity is called “${params.from}”`}>
					<p>
						Write its key as it is stored, in any case, or find it with the{" "}
						<a href={hrefOf("search", { q: params.from, mode: "fuzzy" })}>
							search by similar names
						</a>
						.
					</p>
				</Empty>
			</section>
		);
	const expanded = namesOf(params.expanded);
	const choose = (node: GraphNode) =>
		setParams({
			node: node.entityId,
			expanded: textOfNames(new Set([...expanded, node.entityId])),
		});
	const chosen = graph.nodes.find(({ entityId }) => entityId === params.node);
	return (
		<div class="columns with-panel">
			<section class="card" aria-label="Graph">
				<header>
					<h2>{start.title}</h2>
					<span class="badge">{counted(graph.nodes.length, "node")}</span>
					<span class="badge">{counted(graph.edges.length, "edge")}</span>
					{graph.more > 0 || !graph.isComplete ? (
						<span class="badge warn">
							{graph.isComplete ? "" : "at least "}
							{count(graph.more)} more not drawn
						</span>
					) : null}
				</header>
				<LazyDrawing
					graph={graph}
					start={start.entityId}
					chosen={chosen?.entityId}
					expanded={expanded}
					choose={choose}
				/>
			</section>
			<div class="stack">
				<NodePanel node={chosen ?? start} graph={graph} choose={choose} />
				<EdgeTypes answers={answers} />
				<Dangling answers={answers} />
			</div>
		</div>
	);
}

type Drawing = typeof DrawingComponent;

/** The drawing and its layout are a file of their own. */
function LazyDrawing(props: Parameters<Drawing>[0]) {
	const [loaded, setLoaded] = useState<{ readonly Drawing: Drawing }>();
	useEffect(() => {
		import("./drawing.tsx").then((module) =>
			setLoaded({ Drawing: module.default }),
		);
	}, []);
	if (loaded === undefined) return <Loading label="The drawing" />;
	return <loaded.Drawing {...props} />;
}

function NodePanel({
	node,
	graph,
	choose,
}: {
	readonly node: GraphNode;
	readonly graph: Neighbourhood;
	readonly choose: (node: GraphNode) => void;
}) {
	const byId = new Map(graph.nodes.map((node) => [node.entityId, node]));
	const edges = graph.edges.filter(
		({ source, target }) =>
			source === node.entityId || target === node.entityId,
	);
	return (
		<section class="card" aria-label="Node">
			<header>
				<h2>{node.title}</h2>
				<span class="badge accent">{node.entityType}</span>
			</header>
			<div class="body stack tight">
				{node.summary === null ? null : (
					<p class="muted summary">{node.summary}</p>
				)}
				<div class="row">
					<a
						class="button small"
						href={hrefOf("entities", {
							table: node.entityType,
							id: node.entityId,
						})}
					>
						Open the entity
					</a>
					<a
						class="button small"
						href={hrefOf("graph", { from: node.entityId })}
					>
						Begin here
					</a>
				</div>
				<h3>{counted(edges.length, "edge")} drawn</h3>
				<Scrolls class="scrolls" label="Edges">
					<ul class="edge-list is-aligned">
						{edges.map((edge) => {
							const isOut = edge.source === node.entityId;
							const other = byId.get(isOut ? edge.target : edge.source);
							if (other === undefined) return null;
							return (
								<li key={`${edge.source} ${edge.relType} ${edge.target}`}>
									<span class="muted">{isOut ? "→" : "←"}</span>
									<span class="badge tone-edge">{edge.relType}</span>
									<button
										type="button"
										class="link"
										onClick={() => choose(other)}
									>
										{other.title}
									</button>
								</li>
							);
						})}
					</ul>
				</Scrolls>
			</div>
		</section>
	);
}

function EdgeTypes({
	answers,
}: {
	readonly answers: readonly GraphResponse[];
}) {
	const { params } = useRoute();
	const chosen = namesOf(params.types);
	const types = edgeTypesOf(answers);
	for (const relType of chosen)
		if (!types.some((type) => type.relType === relType))
			types.push({ relType, count: undefined });
	const toggle = (relType: string) =>
		setParams({ types: textOfNames(toggled(chosen, relType)) });
	if (types.length === 0) return null;
	return (
		<section class="card" aria-label="Edge types">
			<header>
				<h2>Edge types</h2>
				<span class="muted">{chosen.length === 0 ? "all" : "only these"}</span>
			</header>
			<ul class="body stack tight">
				{types.map(({ relType, count: edges }) => (
					<li key={relType}>
						<label class="check">
							<input
								type="checkbox"
								checked={chosen.includes(relType)}
								onChange={() => toggle(relType)}
							/>
							{relType}
							{edges === undefined ? null : (
								<span class="muted">{count(edges)}</span>
							)}
						</label>
					</li>
				))}
			</ul>
		</section>
	);
}

function Dangling({ answers }: { readonly answers: readonly GraphResponse[] }) {
	const dangling = answers.flatMap(({ dangling }) => dangling);
	if (dangling.length === 0) return null;
	return (
		<section class="card" aria-label="Edges without a target">
			<header>
				<h2>Edges without a target</h2>
				<span class="badge warn">{count(dangling.length)}</span>
			</header>
			<Scrolls class="body scrolls" label="Names that no entity has">
				<ul class="edge-list">
					{dangling.slice(0, 100).map(({ from, dst, relType }) => (
						<li key={`${from} ${relType} ${dst}`}>
							<span class="badge tone-edge">{relType}</span>
							<span>{dst}</span>
						</li>
					))}
				</ul>
			</Scrolls>
		</section>
	);
}

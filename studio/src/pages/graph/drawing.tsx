import {
	useEffect,
	useLayoutEffect,
	useMemo,
	useRef,
	useState,
} from "preact/hooks";
import type { GraphNode } from "../../../../src/studio/api/entities.ts";
import { Icon } from "../../components/icons.tsx";
import { useStudio } from "../../lib/studio.ts";
import { type LabelledNode, placeLabels } from "./labels.ts";
import { layOut, type Position } from "./layout.ts";
import type { Neighbourhood } from "./neighbourhood.ts";

interface DrawingProps {
	readonly graph: Neighbourhood;
	/** The node that everything is the neighbourhood of. */
	readonly start: string;
	readonly chosen: string | undefined;
	readonly expanded: readonly string[];
	readonly choose: (node: GraphNode) => void;
}

/** From places of the layout to pixels. */
interface View {
	readonly scale: number;
	readonly x: number;
	readonly y: number;
}

const tones = [
	"tone-fused",
	"tone-words",
	"tone-name",
	"tone-edge",
	"tone-vector",
	"tone-lookup",
] as const;

/** The page's default export, so that it can be loaded when it is needed. */
export default function Drawing({
	graph,
	start,
	chosen,
	expanded,
	choose,
}: DrawingProps) {
	const { tables } = useStudio();
	const positions = useLayout(graph);
	const frame = useRef<HTMLDivElement>(null);
	const size = useSize(frame);
	const [moved, setMoved] = useState<View>();
	const view = moved ?? viewOfAll(positions, size);
	const moves = useMoves(frame, view, setMoved);
	const near = useMemo(() => neighboursOf(graph, chosen), [graph, chosen]);
	const ranked = useMemo(
		() => byImportance(graph, [chosen, start], near),
		[graph, chosen, start, near],
	);
	const place = (id: string): Position | undefined => {
		const position = positions.get(id);
		return position === undefined
			? undefined
			: {
					x: position.x * view.scale + view.x,
					y: position.y * view.scale + view.y,
				};
	};
	const radius = size.fontSize * 0.58;
	const labels = placeLabels(
		ranked.flatMap((node): LabelledNode[] => {
			const { entityId: id, title } = node;
			const at = place(id);
			const isNeeded = id === chosen || id === start;
			return at === undefined ? [] : [{ id, title, isNeeded, ...at }];
		}),
		size,
	);
	const toneOf = ({ entityType }: GraphNode) =>
		tones[
			Math.max(
				tables.findIndex(({ name }) => name === entityType),
				0,
			) % tones.length
		];
	return (
		<div class="drawing" ref={frame} {...moves}>
			{/* biome-ignore lint/a11y/useSemanticElements: a drawing is no set of fields */}
			<svg
				width={size.width}
				height={size.height}
				role="group"
				aria-label={`Graph of ${graph.nodes.length} nodes`}
			>
				<defs>
					<marker
						id="arrow"
						viewBox="0 0 8 8"
						refX="14"
						refY="4"
						markerWidth="7"
						markerHeight="7"
						orient="auto"
					>
						<path d="M0 1 7 4 0 7z" class="arrow" />
					</marker>
				</defs>
				{graph.edges.map((edge) => {
					const a = place(edge.source);
					const b = place(edge.target);
					if (a === undefined || b === undefined) return null;
					const isNear = edge.source === chosen || edge.target === chosen;
					return (
						<line
							key={`${edge.source} ${edge.relType} ${edge.target}`}
							class={isNear ? "edge is-near" : "edge"}
							x1={a.x}
							y1={a.y}
							x2={b.x}
							y2={b.y}
							marker-end="url(#arrow)"
						>
							<title>{edge.relType}</title>
						</line>
					);
				})}
				{graph.nodes.map((node) => {
					const at = place(node.entityId);
					if (at === undefined) return null;
					const isChosen = node.entityId === chosen;
					const label = labels.get(node.entityId);
					const r = node.entityId === start ? radius * 1.4 : radius;
					const states = [
						"node",
						toneOf(node),
						isChosen ? "is-chosen" : "",
						expanded.includes(node.entityId) ? "is-expanded" : "",
						chosen !== undefined && !isChosen && !near.has(node.entityId)
							? "is-far"
							: "",
					];
					return (
						// biome-ignore lint/a11y/useSemanticElements: a drawing has no buttons
						<g
							key={node.entityId}
							class={states.join(" ")}
							transform={`translate(${at.x.toFixed(1)} ${at.y.toFixed(1)})`}
							role="button"
							tabindex={0}
							data-row
							aria-label={`${node.title}, ${node.entityType}`}
							aria-pressed={isChosen}
							onClick={() => choose(node)}
							onKeyDown={(event) => {
								if (event.key === "Enter") choose(node);
							}}
						>
							<circle r={r} />
							{label === undefined ? null : (
								<text
									x={(label.isLeft ? -1 : 1) * (r + 4)}
									y="0.34em"
									text-anchor={label.isLeft ? "end" : "start"}
								>
									{label.text}
								</text>
							)}
							<title>{`${node.title} (${node.entityType})`}</title>
						</g>
					);
				})}
			</svg>
			<fieldset class="zoom" aria-label="Zoom">
				<button
					type="button"
					class="icon"
					aria-label="Nearer"
					onClick={() => setMoved(zoomed(view, center(size), 1.4))}
				>
					<Icon name="plus" />
				</button>
				<button
					type="button"
					class="icon"
					aria-label="Farther"
					onClick={() => setMoved(zoomed(view, center(size), 1 / 1.4))}
				>
					<Icon name="minus" />
				</button>
				<button
					type="button"
					class="icon"
					aria-label="Fit all nodes"
					onClick={() => setMoved(undefined)}
				>
					<Icon name="fit" />
				</button>
			</fieldset>
			<ul class="legend">
				{tables
					.filter(({ name }) =>
						graph.nodes.some(({ entityType }) => entityType === name),
					)
					.map(({ name }) => (
						<li
							key={name}
							class={
								tones[
									tables.findIndex((table) => table.name === name) %
										tones.length
								]
							}
						>
							<i /> {name}
						</li>
					))}
			</ul>
		</div>
	);
}

/** Places of the nodes while they move to rest; at once where motion is not wanted. */
function useLayout(graph: Neighbourhood): ReadonlyMap<string, Position> {
	const [positions, setPositions] = useState<ReadonlyMap<string, Position>>(
		new Map(),
	);
	const last = useRef(positions);
	useEffect(() => {
		const layout = layOut(graph, last.current);
		const show = () => {
			last.current = layout.positions();
			setPositions(last.current);
		};
		const isStill = window.matchMedia("(prefers-reduced-motion: reduce)");
		if (isStill.matches) {
			while (layout.step());
			show();
			return;
		}
		let frame = 0;
		const step = () => {
			const goesOn = layout.step();
			show();
			if (goesOn) frame = window.requestAnimationFrame(step);
		};
		step();
		return () => window.cancelAnimationFrame(frame);
	}, [graph]);
	return positions;
}

interface Size {
	readonly width: number;
	readonly height: number;
	/** Of the labels. */
	readonly fontSize: number;
}

/** As `.node text` in the style sheet, in parts of the page's. */
const labelSize = 0.86;

function useSize(ref: { readonly current: HTMLElement | null }): Size {
	const [size, setSize] = useState<Size>({ width: 0, height: 0, fontSize: 12 });
	useEffect(() => {
		const element = ref.current;
		if (element === null) return;
		const observer = new ResizeObserver(() =>
			setSize({
				width: element.clientWidth,
				height: element.clientHeight,
				fontSize:
					labelSize * Number.parseFloat(getComputedStyle(element).fontSize),
			}),
		);
		observer.observe(element);
		return () => observer.disconnect();
	}, [ref]);
	return size;
}

const maxMargin = 130;

function viewOfAll(positions: ReadonlyMap<string, Position>, size: Size): View {
	const all = [...positions.values()];
	const xs = all.map(({ x }) => x);
	const ys = all.map(({ y }) => y);
	const [left, right] = [Math.min(...xs, 0), Math.max(...xs, 0)];
	const [top, bottom] = [Math.min(...ys, 0), Math.max(...ys, 0)];
	const margin = Math.min(maxMargin, size.width / 4);
	const scale = Math.min(
		Math.max(size.width - 2 * margin, 80) / Math.max(right - left, 1),
		Math.max(size.height - 90, 80) / Math.max(bottom - top, 1),
		// A few nodes do not fill a large screen, but they grow with it.
		Math.max(1.6, Math.min(size.width, size.height) / 480),
	);
	return {
		scale,
		x: size.width / 2 - (scale * (left + right)) / 2,
		y: size.height / 2 - (scale * (top + bottom)) / 2,
	};
}

function center({ width, height }: Size): Position {
	return { x: width / 2, y: height / 2 };
}

/** The place stays where it is, everything else comes nearer to it or goes away. */
function zoomed(view: View, at: Position, factor: number): View {
	const scale = Math.min(Math.max(view.scale * factor, 0.05), 8);
	const ratio = scale / view.scale;
	return {
		scale,
		x: at.x - (at.x - view.x) * ratio,
		y: at.y - (at.y - view.y) * ratio,
	};
}

/** The wheel zooms, dragging the ground moves it. */
function useMoves(
	frame: { readonly current: HTMLElement | null },
	view: View,
	move: (view: View) => void,
) {
	const now = useRef(view);
	now.current = view;
	const drag = useRef<Position | undefined>(undefined);
	useLayoutEffect(() => {
		const element = frame.current;
		if (element === null) return;
		const zoom = (event: WheelEvent) => {
			if (!event.ctrlKey && Math.abs(event.deltaY) < 1) return;
			event.preventDefault();
			const box = element.getBoundingClientRect();
			const at = { x: event.clientX - box.left, y: event.clientY - box.top };
			move(zoomed(now.current, at, Math.exp(-event.deltaY / 400)));
		};
		element.addEventListener("wheel", zoom, { passive: false });
		return () => element.removeEventListener("wheel", zoom);
	}, [frame]);
	return {
		onPointerDown: (event: PointerEvent) => {
			const target = event.target instanceof Element ? event.target : undefined;
			if (target?.closest(".node, .zoom") != null) return;
			drag.current = { x: event.clientX, y: event.clientY };
		},
		onPointerMove: (event: PointerEvent) => {
			const from = drag.current;
			if (from === undefined) return;
			drag.current = { x: event.clientX, y: event.clientY };
			const { scale, x, y } = now.current;
			move({
				scale,
				x: x + event.clientX - from.x,
				y: y + event.clientY - from.y,
			});
		},
		onPointerUp: () => {
			drag.current = undefined;
		},
		onPointerLeave: () => {
			drag.current = undefined;
		},
	};
}

/** In the order in which labels are given: these, their neighbours, those with the most edges. */
function byImportance(
	{ nodes, edges }: Neighbourhood,
	first: readonly (string | undefined)[],
	near: ReadonlySet<string>,
): readonly GraphNode[] {
	const degrees = new Map<string, number>();
	for (const { source, target } of edges)
		for (const id of [source, target])
			degrees.set(id, (degrees.get(id) ?? 0) + 1);
	const rank = ({ entityId }: GraphNode) =>
		(first.includes(entityId) ? 1e9 : 0) +
		(near.has(entityId) ? 1e6 : 0) +
		(degrees.get(entityId) ?? 0);
	return [...nodes].sort((a, b) => rank(b) - rank(a));
}

function neighboursOf(
	{ edges }: Neighbourhood,
	id: string | undefined,
): ReadonlySet<string> {
	return new Set(
		edges.flatMap(({ source, target }) =>
			source === id ? [target] : target === id ? [source] : [],
		),
	);
}

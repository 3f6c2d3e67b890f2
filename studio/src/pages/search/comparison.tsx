import type {
	FoundItem,
	SearchResponse,
} from "../../../../src/studio/api/search.ts";
import { Scrolls } from "../../components/scrolls.tsx";
import { Loading, Problem } from "../../components/states.tsx";
import { counted, duration, score } from "../../lib/format.ts";
import { type Loaded, useLoad } from "../../lib/load.ts";
import { hrefWith, useRoute } from "../../lib/router.ts";
import { useScope } from "../../lib/studio.ts";
import { type Searched, searchFor } from "./searched.ts";
import { searchOf } from "./settings.ts";

/** The same query with two settings: who moved. */
export function Comparison({ first }: { readonly first: Loaded<Searched> }) {
	const { params } = useRoute();
	const scope = useScope();
	const second = useLoad(searchOf(params, "b.", scope), searchFor);
	return (
		<>
			{[first, second].map(({ failure, reload }, at) =>
				failure === undefined ? null : (
					<Problem key={at} failure={failure} retry={reload} />
				),
			)}
			{first.value !== undefined && second.value !== undefined ? (
				<Moves a={first.value.answer} b={second.value.answer} />
			) : first.failure === undefined && second.failure === undefined ? (
				<Loading label="Searching twice" />
			) : null}
		</>
	);
}

interface Pair {
	readonly item: FoundItem;
	readonly a: FoundItem | undefined;
	readonly b: FoundItem | undefined;
}

function Moves({
	a,
	b,
}: {
	readonly a: SearchResponse;
	readonly b: SearchResponse;
}) {
	const pairs = pairsOf(a.items, b.items);
	const shared = pairs.filter(({ a, b }) => a !== undefined && b !== undefined);
	return (
		<section class="card">
			<header>
				<h2>{counted(shared.length, "entity", "entities")} in both</h2>
				<span class="badge">A {duration(a.timing.serviceMs)}</span>
				<span class="badge">B {duration(b.timing.serviceMs)}</span>
			</header>
			<Scrolls class="table-scroll" label="Both orders">
				<table class="moves">
					<thead>
						<tr>
							<th class="number">A</th>
							<th class="number">B</th>
							<th>Move</th>
							<th>Entity</th>
							<th class="number">Score A</th>
							<th class="number">Score B</th>
						</tr>
					</thead>
					<tbody>
						{pairs.map(({ item, a, b }) => (
							<tr key={`${item.entityType}/${item.entityId}`}>
								<td class="number">{a?.place ?? "—"}</td>
								<td class="number">{b?.place ?? "—"}</td>
								<td>
									<Move a={a?.place} b={b?.place} />
								</td>
								<td>
									<a
										data-row
										href={hrefWith({
											compare: undefined,
											why: item.entityId,
											whyType: item.entityType,
										})}
									>
										{item.title}
									</a>{" "}
									<span class="muted">{item.entityType}</span>
								</td>
								<td class="number mono">{score(a?.score)}</td>
								<td class="number mono">{score(b?.score)}</td>
							</tr>
						))}
					</tbody>
				</table>
			</Scrolls>
		</section>
	);
}

function Move({
	a,
	b,
}: {
	readonly a: number | undefined;
	readonly b: number | undefined;
}) {
	if (a === undefined) return <span class="badge good">only in B</span>;
	if (b === undefined) return <span class="badge bad">only in A</span>;
	if (a === b) return <span class="badge">same place</span>;
	return b < a ? (
		<span class="badge good">▲ {a - b}</span>
	) : (
		<span class="badge warn">▼ {b - a}</span>
	);
}

/** By their best place of the two. */
function pairsOf(
	a: readonly FoundItem[],
	b: readonly FoundItem[],
): readonly Pair[] {
	const pairs = new Map<string, Pair>();
	const keyOf = (item: FoundItem) => `${item.entityType}/${item.entityId}`;
	for (const item of a) pairs.set(keyOf(item), { item, a: item, b: undefined });
	for (const item of b)
		pairs.set(keyOf(item), { item, a: pairs.get(keyOf(item))?.a, b: item });
	const best = ({ a, b }: Pair) =>
		Math.min(a?.place ?? Infinity, b?.place ?? Infinity);
	return [...pairs.values()].sort((x, y) => best(x) - best(y));
}

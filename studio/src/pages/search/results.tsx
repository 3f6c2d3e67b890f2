import type {
	FoundItem,
	RankedEntry,
	RankedList,
	SearchResponse,
} from "../../../../src/studio/api/search.ts";
import { Code, JsonView } from "../../components/code.tsx";
import { Scrolls } from "../../components/scrolls.tsx";
import { Segments } from "../../components/segments.tsx";
import { Empty, Problem, Show } from "../../components/states.tsx";
import { counted, duration, excerpt, score } from "../../lib/format.ts";
import { type Loaded, useLoad } from "../../lib/load.ts";
import { hrefWith, useRoute } from "../../lib/router.ts";
import { Plans } from "./plans.tsx";
import { explain, type Searched } from "./searched.ts";
import { listTexts, toneOf } from "./settings.ts";

const views = [
	{ value: "lists", text: "Lists" },
	{ value: "plan", text: "Plan and SQL" },
	{ value: "code", text: "Code" },
] as const;
type View = (typeof views)[number]["value"];

export function Results({
	searched: { answer, settings, answeredAt },
}: {
	readonly searched: Searched;
}) {
	const { params } = useRoute();
	const view: View =
		views.find(({ value }) => value === params.view)?.value ?? "lists";
	const explained = useLoad(
		view === "code" ? undefined : { settings, answeredAt },
		explain,
	);
	return (
		<>
			<div class="row apart">
				<Timing
					answer={view === "plan" ? (explained.value ?? answer) : answer}
				/>
				<Segments
					label="View"
					options={views}
					chosen={view}
					href={(value) =>
						hrefWith({ view: value === "lists" ? undefined : value })
					}
				/>
			</div>
			{answer.notes.map((note) => (
				<div key={note} class="notice warn">
					<p>{note}</p>
				</div>
			))}
			{view === "plan" ? (
				<Show loaded={explained} label="Explaining the search">
					{({ tables }) => <Plans tables={tables} />}
				</Show>
			) : view === "code" ? (
				<CallAsCode answer={answer} />
			) : (
				<Lists answer={answer} explained={explained} />
			)}
		</>
	);
}

function Timing({
	answer: { items, timing, omitted },
}: {
	readonly answer: SearchResponse;
}) {
	return (
		<p class="timing" data-testid="timing">
			<strong>{counted(items.length, "entity", "entities")}</strong> in{" "}
			{duration(timing.serviceMs)}
			{timing.steps.map(({ step, ms }) => (
				<span key={step} class="badge">
					{step} {duration(ms)}
				</span>
			))}
			{omitted ? (
				<span class="badge warn">
					{counted(omitted, "entity", "entities")} more had no room
				</span>
			) : null}
		</p>
	);
}

function CallAsCode({ answer }: { readonly answer: SearchResponse }) {
	return (
		<section class="card">
			<div class="body stack">
				<Code
					title="The same search in TypeScript"
					text={answer.code.typescript}
					copy="Copy code"
				/>
				<Code
					title="On the command line"
					text={answer.code.shell}
					copy="Copy command"
					wraps
				/>
				<JsonView title="Answer" json={JSON.stringify(answer.items, null, 2)} />
			</div>
		</section>
	);
}

/** As they are in the answer, until it is explained: then with what else they have ranked. */
function Lists({
	answer,
	explained: { value, failure, isLoading, reload },
}: {
	readonly answer: SearchResponse;
	readonly explained: Loaded<SearchResponse>;
}) {
	const { items, lists, mode } =
		isLoading || failure !== undefined ? answer : (value ?? answer);
	if (items.length === 0)
		return (
			<section class="card">
				<Empty title="Nothing was found">
					<p>
						{mode === "lookup"
							? "No entity of this tenant and user is called so. The mode fuzzy finds similar names."
							: "Try the mode recall, fewer filters or another tenant; or name the entity that you miss, to see what keeps it away."}
					</p>
				</Empty>
			</section>
		);
	return (
		<div class="stack" aria-busy={isLoading}>
			{failure === undefined ? null : (
				<Problem failure={failure} retry={reload} />
			)}
			<Scrolls class="lists" label="Ranked lists">
				<Fused items={items} />
				{lists.map((list) => (
					<Ranked key={list.list} list={list} />
				))}
			</Scrolls>
		</div>
	);
}

function useChosen() {
	const { params } = useRoute();
	return (entity: { entityType: string; entityId: string }) => ({
		href: hrefWith({ why: entity.entityId, whyType: entity.entityType }),
		"aria-current":
			params.why === entity.entityId && params.whyType === entity.entityType
				? ("true" as const)
				: undefined,
	});
}

function Fused({ items }: { readonly items: readonly FoundItem[] }) {
	const link = useChosen();
	const most = Math.max(...items.map((item) => item.score), 0);
	return (
		<section class="card list fused tone-fused" aria-label="Fused order">
			<header>
				<h2>Fused order</h2>
				<span class="muted">score</span>
			</header>
			<ol>
				{items.map((item) => (
					<li key={`${item.entityType}/${item.entityId}`}>
						<a class="found" data-row {...link(item)}>
							<span class="place">{item.place}</span>
							<span class="found-body">
								<span class="found-head">
									<strong>{item.title}</strong>
									<span class="muted">{item.entityType}</span>
									{item.userId === null ? null : (
										<span class="badge">{item.userId}</span>
									)}
								</span>
								<ScoreBar item={item} most={most} />
								<span class="places">
									{item.lists.map(({ list, rank, via, relType }) => (
										<span
											key={`${list} ${rank} ${via}`}
											class={`badge ${toneOf[list]}`}
											title={via === undefined ? undefined : `by ${via}`}
										>
											{listTexts[list].title} {rank}
											{relType === undefined ? "" : ` · ${relType}`}
										</span>
									))}
								</span>
								{item.text === "" ? null : (
									<span class="found-text muted">
										{excerpt(item.text, 220)}
									</span>
								)}
							</span>
							<span class="number mono">{score(item.score)}</span>
						</a>
					</li>
				))}
			</ol>
		</section>
	);
}

/** The score, in the parts that the lists brought where they are known. */
function ScoreBar({
	item,
	most,
}: {
	readonly item: FoundItem;
	readonly most: number;
}) {
	const width = most > 0 ? (100 * item.score) / most : 0;
	const parts = item.lists.filter(({ share }) => share !== undefined);
	return (
		<span class="bar parts" aria-hidden="true">
			{parts.length === 0 ? (
				<i style={{ width: `${width}%` }} />
			) : (
				parts.map(({ list, share = 0 }) => (
					<i
						key={list}
						class={toneOf[list]}
						style={{ width: `${width * share}%` }}
					/>
				))
			)}
		</span>
	);
}

function Ranked({ list }: { readonly list: RankedList }) {
	const { title, note, measure } = listTexts[list.list];
	const { weight, entries, omitted } = list;
	const hasTables =
		new Set(entries.map(({ entityType }) => entityType)).size > 1;
	return (
		<section
			class={`card list ${toneOf[list.list]}`}
			aria-label={`${title} list`}
		>
			<header>
				<h2 title={note}>{title}</h2>
				<span
					class="muted"
					title={weight === undefined ? undefined : "its weight"}
				>
					{weight === undefined ? note : `× ${weight}`}
				</span>
			</header>
			{entries.length === 0 ? (
				<p class="nothing muted">found nothing</p>
			) : (
				<div class="entries">
					<p class="entry entry-head muted">
						<span class="number">Rank</span>
						<span>Entity</span>
						<span class="number">{measure ?? ""}</span>
						<span class="number" title="Place in the fused order">
							Place
						</span>
					</p>
					<ol>
						{entries.map((entry) => (
							<li
								key={`${entry.entityType}/${entry.entityId}/${entry.rank}/${entry.via}`}
							>
								<Entry entry={entry} measure={measure} hasTables={hasTables} />
							</li>
						))}
					</ol>
				</div>
			)}
			{omitted > 0 ? (
				<p class="nothing muted">
					and {counted(omitted, "candidate")} more, not in the answer
				</p>
			) : null}
		</section>
	);
}

function Entry({
	entry,
	measure,
	hasTables,
}: {
	readonly entry: RankedEntry;
	readonly measure: string | undefined;
	/** Whether the list has entities of several tables. */
	readonly hasTables: boolean;
}) {
	const link = useChosen();
	const { rank, title, entityType, value, place, via } = entry;
	const isFound = place !== null;
	return (
		<a
			class={isFound ? "entry" : "entry is-missing"}
			{...link(entry)}
			title={via}
		>
			<span class="place">{rank}</span>
			<span class="entry-title">
				{title}
				{hasTables ? <span class="muted"> {entityType}</span> : null}
			</span>
			<span class="number mono value" title={measure}>
				{value === null ? "" : value.toFixed(3)}
			</span>
			<span
				class="number muted"
				title={isFound ? "Place in the fused order" : "Not in the answer"}
			>
				{isFound ? `→ ${place}` : "—"}
			</span>
		</a>
	);
}

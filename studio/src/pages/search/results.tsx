import type {
	FoundItem,
	RankedList,
	SearchResponse,
} from "../../../../src/studio/api.ts";
import { Code, JsonView } from "../../components/code.tsx";
import { Scrolls } from "../../components/scrolls.tsx";
import { Segments } from "../../components/segments.tsx";
import { Empty } from "../../components/states.tsx";
import { counted, duration, excerpt, score } from "../../lib/format.ts";
import { hrefWith, useRoute } from "../../lib/router.ts";
import { Plans } from "./plans.tsx";
import { listTexts, toneOf } from "./settings.ts";

const views = [
	{ value: "lists", text: "Lists" },
	{ value: "plan", text: "Plan and SQL" },
	{ value: "code", text: "Code" },
] as const;
type View = (typeof views)[number]["value"];

export function Results({ answer }: { readonly answer: SearchResponse }) {
	const { params } = useRoute();
	const view: View =
		views.find(({ value }) => value === params.view)?.value ?? "lists";
	return (
		<>
			<div class="row apart">
				<Timing answer={answer} />
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
				<Plans tables={answer.tables} />
			) : view === "code" ? (
				<CallAsCode answer={answer} />
			) : (
				<Lists answer={answer} />
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

function Lists({
	answer: { items, lists, mode },
}: {
	readonly answer: SearchResponse;
}) {
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
		<Scrolls class="lists" label="Ranked lists">
			<Fused items={items} />
			{lists.map((list) => (
				<Ranked key={list.list} list={list} />
			))}
		</Scrolls>
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
	const link = useChosen();
	const { title, note } = listTexts[list.list];
	return (
		<section
			class={`card list ${toneOf[list.list]}`}
			aria-label={`${title} list`}
		>
			<header>
				<h2 title={note}>{title}</h2>
				<span
					class="muted"
					title={list.weight === undefined ? undefined : "its weight"}
				>
					{list.weight === undefined ? note : `× ${list.weight}`}
				</span>
			</header>
			{list.entries.length === 0 ? (
				<p class="nothing muted">found nothing</p>
			) : (
				<ol>
					{list.entries.map((entry) => (
						<li
							key={`${entry.entityType}/${entry.entityId}/${entry.rank}/${entry.via}`}
						>
							<a class="entry" {...link(entry)} title={entry.via}>
								<span class="place">{entry.rank}</span>
								<span class="entry-title">{entry.title}</span>
								<span class="number muted" title="Place in the fused order">
									→ {entry.place}
								</span>
							</a>
						</li>
					))}
				</ol>
			)}
		</section>
	);
}

import { useLayoutEffect, useState } from "preact/hooks";
import type {
	SearchSettings,
	WhyReason,
	WhyResponse,
} from "../../../../src/studio/api/search.ts";
import { Icon } from "../../components/icons.tsx";
import { Empty, Problem, Show, sentence } from "../../components/states.tsx";
import { VectorStates } from "../../components/vector-states.tsx";
import { api } from "../../lib/api.ts";
import { type Failure, toFailure } from "../../lib/failure.ts";
import { count } from "../../lib/format.ts";
import { type Loaded, useLoad } from "../../lib/load.ts";
import { hrefOf, setParams, useRoute } from "../../lib/router.ts";
import { useScope, useStudio } from "../../lib/studio.ts";
import { listTexts, toneOf } from "./settings.ts";

/** Why one entity is, or is not, among the results. */
export function WhyPanel({
	settings,
	entity,
	entityType,
	changed,
}: {
	readonly settings: SearchSettings;
	/** Its id, or what it is called. */
	readonly entity: string;
	/** The table, where `entity` is an id. */
	readonly entityType: string | undefined;
	/** After a write: what was found may differ. */
	readonly changed: () => void;
}) {
	const asked = useLoad(
		{
			...settings,
			entity,
			...(entityType === undefined ? {} : { entityType }),
		},
		api.why,
	);
	return (
		<aside class="card why">
			<header>
				<h2>Why is it here, or missing?</h2>
				<button
					type="button"
					class="icon"
					aria-label="Close the explanation"
					onClick={() => setParams({ why: undefined, whyType: undefined })}
				>
					<Icon name="close" />
				</button>
			</header>
			<div class="body stack">
				<EntityForm />
				<Show loaded={asked} label="Looking at the entity">
					{(answer) => (
						<Answer answer={answer} asked={asked} changed={changed} />
					)}
				</Show>
			</div>
		</aside>
	);
}

/** Asks for an entity that was expected. */
export function EntityForm() {
	const { why, whyType } = useRoute().params;
	// What was clicked is an id: nothing to read.
	const named = whyType === undefined ? (why ?? "") : "";
	const [text, setText] = useState(named);
	useLayoutEffect(() => setText(named), [named]);
	const submit = (event: Event) => {
		event.preventDefault();
		setParams({ why: text.trim(), whyType: undefined });
	};
	return (
		<form class="query-line" onSubmit={submit}>
			<input
				class="input"
				aria-label="Entity"
				placeholder="Key of an entity that you miss"
				required
				spellcheck={false}
				value={text}
				onInput={({ currentTarget }) => setText(currentTarget.value)}
			/>
			<button type="submit" class="button">
				Explain
			</button>
		</form>
	);
}

function Answer({
	answer,
	asked,
	changed,
}: {
	readonly answer: WhyResponse;
	readonly asked: Loaded<WhyResponse>;
	readonly changed: () => void;
}) {
	const { entity, place } = answer;
	if (entity === null)
		return (
			<Empty title="No such entity">
				<p>{sentence(answer.verdict)}</p>
			</Empty>
		);
	const { entityType, entityId } = entity;
	// The verdict above is the one of an entity that was found.
	const problems = answer.reasons.filter(({ kind }) => kind !== "found");
	return (
		<>
			<div class="stack tight">
				<div class="row">
					<h3>{entity.title}</h3>
					<span class="muted">{entityType}</span>
					{entity.deletedAt === null ? null : (
						<span class="badge bad">deleted</span>
					)}
				</div>
				<div
					class={place === null ? "notice bad" : "notice good"}
					data-testid="verdict"
				>
					<p>
						<strong>{place === null ? "Missing" : `Place ${place}`}.</strong>{" "}
						{sentence(answer.verdict)}
					</p>
				</div>
				<div class="row">
					<a
						class="button small"
						href={hrefOf("entities", { table: entityType, id: entityId })}
					>
						Open the entity
					</a>
					<a class="button small" href={hrefOf("graph", { from: entityId })}>
						Graph
					</a>
				</div>
			</div>
			<ul class="stack tight">
				{problems.map((reason) => (
					<Reason
						key={reason.kind + reason.text}
						reason={reason}
						entity={{ entityType, entityId }}
						done={() => {
							asked.reload();
							changed();
						}}
					/>
				))}
			</ul>
			<Lists answer={answer} />
			<section class="stack tight">
				<h3>Vectors</h3>
				{answer.vectors.length === 0 ? (
					<p class="muted">The table has no embedded fields.</p>
				) : (
					<VectorStates vectors={answer.vectors} />
				)}
			</section>
			<Words answer={answer} />
			<Filters answer={answer} />
		</>
	);
}

function Reason({
	reason,
	entity,
	done,
}: {
	readonly reason: WhyReason;
	readonly entity: { readonly entityType: string; readonly entityId: string };
	readonly done: () => void;
}) {
	const studio = useStudio();
	const scope = useScope();
	const [isBusy, setBusy] = useState(false);
	const [failure, setFailure] = useState<Failure>();
	const { action } = reason;
	const act = async () => {
		if (action === undefined) return;
		setBusy(true);
		setFailure(undefined);
		try {
			await api[action]({ ...scope, ...entity });
			done();
		} catch (error) {
			setFailure(toFailure(error));
		} finally {
			setBusy(false);
		}
	};
	return (
		<li class="notice warn">
			<p>
				{sentence(reason.text)}
				{reason.remedy === undefined ? null : (
					<span class="muted"> {sentence(reason.remedy)}</span>
				)}
			</p>
			{action === undefined ? null : studio.writable ? (
				<button
					type="button"
					class="button primary"
					disabled={isBusy}
					onClick={act}
				>
					{isBusy ? "Working…" : actionTexts[action]}
				</button>
			) : (
				<p class="muted">
					{sentence(
						studio.writeHint ??
							"start the studio with --write to repair it here",
					)}
				</p>
			)}
			{failure === undefined ? null : <Problem failure={failure} />}
		</li>
	);
}

const actionTexts = {
	restore: "Restore it",
	embed: "Embed it now",
} as const;

function Lists({ answer }: { readonly answer: WhyResponse }) {
	return (
		<section class="stack tight">
			<h3>Its rank in every list</h3>
			<table class="dense">
				<thead>
					<tr>
						<th>List</th>
						<th class="number">Rank</th>
						<th class="number">Counted to</th>
						<th class="number">Value</th>
					</tr>
				</thead>
				<tbody>
					{answer.lists.map((list) => (
						<tr key={list.list}>
							<td>
								<span class={`badge ${toneOf[list.list]}`}>
									{listTexts[list.list].title}
								</span>
								{list.reason === undefined ? null : (
									<p class="muted">{list.reason}</p>
								)}
							</td>
							<td class="number">
								{list.beyond === undefined
									? count(list.rank)
									: `> ${count(list.beyond)}`}
							</td>
							<td class="number">{count(list.depth)}</td>
							<td class="number mono" title={listTexts[list.list].measure}>
								{list.value === null ? "—" : list.value.toFixed(3)}
							</td>
						</tr>
					))}
				</tbody>
			</table>
		</section>
	);
}

function Words({ answer: { words } }: { readonly answer: WhyResponse }) {
	if (words.length === 0) return null;
	return (
		<section class="stack tight">
			<h3>Words of the query</h3>
			<ul class="row">
				{words.map(({ word, isFound }) => (
					<li key={word} class={isFound ? "badge good" : "badge"}>
						{isFound ? "✓" : "✗"} {word}
						<span class="hidden-label">
							{isFound ? "it has the word" : "it lacks the word"}
						</span>
					</li>
				))}
			</ul>
		</section>
	);
}

function Filters({ answer: { filters } }: { readonly answer: WhyResponse }) {
	if (filters.length === 0) return null;
	return (
		<section class="stack tight">
			<h3>Filter</h3>
			<ul class="stack tight">
				{filters.map(({ text, isFulfilled }) => (
					<li key={text} class="row">
						<span class={isFulfilled ? "badge good" : "badge bad"}>
							{isFulfilled ? "fulfilled" : "excludes it"}
						</span>
						<code>{text}</code>
					</li>
				))}
			</ul>
		</section>
	);
}

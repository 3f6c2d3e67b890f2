import { useLayoutEffect, useState } from "preact/hooks";
import { Empty, Show } from "../../components/states.tsx";
import { api } from "../../lib/api.ts";
import { useEscape } from "../../lib/keys.ts";
import { useLoad } from "../../lib/load.ts";
import { hrefOf, setParams, useRoute } from "../../lib/router.ts";
import { useScope, useStudio } from "../../lib/studio.ts";
import { Comparison } from "./comparison.tsx";
import { Results } from "./results.tsx";
import { searchFor } from "./searched.ts";
import { copiedToB, searchOf } from "./settings.ts";
import { SettingsForm } from "./settings-form.tsx";
import { EntityForm, WhyPanel } from "./why-panel.tsx";

/** What a search found, and why. */
export function SearchPage() {
	const { params } = useRoute();
	const scope = useScope();
	const isComparing = params.compare === "yes";
	const settings = searchOf(params, "", scope);
	const found = useLoad(settings, searchFor);
	const { why } = params;
	useEscape(why === undefined ? undefined : closeWhy);
	return (
		<>
			<div class="page-head">
				<h1>Search</h1>
				<p>
					See what a query finds, and why an entity is, or is not, among it.
				</p>
			</div>
			<QueryForm isComparing={isComparing} />
			{settings === undefined ? (
				<Start />
			) : isComparing ? (
				<Comparison first={found} />
			) : (
				<div class={why === undefined ? "columns" : "columns with-panel"}>
					<div class="stack">
						{why === undefined ? (
							<div class="miss">
								<span>Is an entity missing?</span>
								<EntityForm />
							</div>
						) : null}
						<Show loaded={found} label="Searching">
							{(searched) => <Results searched={searched} />}
						</Show>
					</div>
					{why === undefined ? null : (
						<WhyPanel
							settings={settings}
							entity={why}
							entityType={params.whyType}
							changed={found.reload}
						/>
					)}
				</div>
			)}
		</>
	);
}

function closeWhy(): void {
	setParams({ why: undefined, whyType: undefined });
}

function QueryForm({ isComparing }: { readonly isComparing: boolean }) {
	const { params } = useRoute();
	const studio = useStudio();
	const [query, setQuery] = useState(params.q ?? "");
	useLayoutEffect(() => setQuery(params.q ?? ""), [params.q]);
	const submit = (event: Event) => {
		event.preventDefault();
		setParams({ q: query.trim() });
	};
	const toggleComparison = () =>
		setParams(
			isComparing
				? { compare: undefined }
				: { compare: "yes", ...(params["b.mode"] ? {} : copiedToB(params)) },
		);
	return (
		<section class="card" aria-label="Query">
			<form class="body stack" onSubmit={submit}>
				<div class="query-line">
					<input
						class="input large"
						type="search"
						aria-label="Query"
						placeholder="A question, a topic, a name"
						data-search
						maxLength={studio.limits.queryTextLength}
						value={query}
						onInput={({ currentTarget }) => setQuery(currentTarget.value)}
					/>
					<button type="submit" class="button primary">
						Search
					</button>
					<button
						type="button"
						class="button"
						aria-pressed={isComparing}
						onClick={toggleComparison}
					>
						{isComparing ? "One search" : "Compare"}
					</button>
				</div>
				{isComparing ? (
					<div class="two">
						<div class="stack tight">
							<h2>A</h2>
							<SettingsForm prefix="" />
						</div>
						<div class="stack tight">
							<h2>B</h2>
							<SettingsForm prefix="b." />
						</div>
					</div>
				) : (
					<SettingsForm prefix="" />
				)}
			</form>
		</section>
	);
}

function Start() {
	const scope = useScope();
	const { tables } = useStudio();
	const counts = useLoad({ ...scope }, api.counts);
	return (
		<section class="card">
			<Empty title="Type a query, as your application or an agent would">
				<p>
					Every list that was searched appears beside the order they were fused
					to. Choose an entity to see why it is there, or name one that you
					miss.
				</p>
				<ul class="row">
					{tables.map(({ name }) => (
						<li key={name}>
							<a
								class="badge accent"
								href={hrefOf("entities", { table: name })}
							>
								{name}
								{counts.value === undefined
									? ""
									: ` · ${(counts.value.counts[name] ?? 0).toLocaleString("en-GB")}`}
							</a>
						</li>
					))}
				</ul>
			</Empty>
		</section>
	);
}

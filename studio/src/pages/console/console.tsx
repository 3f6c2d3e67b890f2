import { useLayoutEffect, useState } from "preact/hooks";
import type { ConsoleResponse } from "../../../../src/studio/api/console.ts";
import { Code, JsonView } from "../../components/code.tsx";
import { CopyButton } from "../../components/copy.tsx";
import { Scrolls } from "../../components/scrolls.tsx";
import { Segments } from "../../components/segments.tsx";
import { Empty, Problem, Show } from "../../components/states.tsx";
import { isNumeric, Value } from "../../components/value.tsx";
import { api } from "../../lib/api.ts";
import { counted, duration } from "../../lib/format.ts";
import { useLoad } from "../../lib/load.ts";
import { hrefOf, hrefWith, setParams, useRoute } from "../../lib/router.ts";
import { useScope, useStudio } from "../../lib/studio.ts";
import { Editor } from "./editor.tsx";

/** The query language, as an agent or `rem query` uses it. */
export function ConsolePage() {
	const { params } = useRoute();
	const scope = useScope();
	const [text, setText] = useState(params.q ?? "");
	useLayoutEffect(() => setText(params.q ?? ""), [params.q]);
	const answered = useLoad(
		params.q === undefined ? undefined : { ...scope, query: params.q },
		api.console,
	);
	const { failure } = answered;
	const run = () => {
		if (text === params.q) answered.reload();
		else setParams({ q: text });
	};
	const isExplained = /^\s*explain\b/i.test(text);
	const explain = () =>
		setParams({
			q: isExplained
				? text.replace(/^\s*explain\s+/i, "")
				: `EXPLAIN ${text.trim()}`,
		});
	const errorAt = text === params.q ? failure?.position : undefined;
	return (
		<>
			<div class="page-head">
				<h1>Console</h1>
				<p>Queries of the query language: they read, and change nothing.</p>
			</div>
			<section class="card" aria-label="Query">
				<div class="body stack tight">
					<Editor text={text} change={setText} run={run} errorAt={errorAt} />
					<div class="row">
						<button
							type="button"
							class="button primary"
							disabled={text.trim() === ""}
							onClick={run}
						>
							Run <kbd>Ctrl Enter</kbd>
						</button>
						<button
							type="button"
							class="button"
							disabled={text.trim() === ""}
							aria-pressed={isExplained}
							onClick={explain}
						>
							Explain
						</button>
						<span class="muted">Ctrl Space completes</span>
					</div>
				</div>
			</section>
			{failure === undefined ? null : <Problem failure={failure} />}
			{params.q === undefined ? (
				<Examples />
			) : (
				<Show
					loaded={failure === undefined ? answered : withoutFailure(answered)}
					label="Running the query"
				>
					{(answer) =>
						failure === undefined ? <Answer answer={answer} /> : null
					}
				</Show>
			)}
		</>
	);
}

/** It is shown above the answer, and marked in the query. */
function withoutFailure<Loaded extends object>(loaded: Loaded): Loaded {
	return { ...loaded, failure: undefined };
}

function Answer({ answer }: { readonly answer: ConsoleResponse }) {
	const { params } = useRoute();
	const view =
		params.view === "json" || params.view === "code" ? params.view : "rows";
	return (
		<section class="card" aria-label="Answer">
			<header>
				<h2>
					{answer.kind === "explain"
						? "Explained"
						: counted(answer.rows.length, "row")}
				</h2>
				<span class="badge">{duration(answer.durationMs)}</span>
				<Segments
					label="View"
					options={[
						{
							value: "rows",
							text: answer.kind === "explain" ? "Plan" : "Rows",
						},
						{ value: "json", text: "JSON" },
						{ value: "code", text: "Code" },
					]}
					chosen={view}
					href={(view) => hrefWith({ view })}
				/>
				<CopyButton label="Copy JSON" text={answer.json} />
			</header>
			{answer.notes.map((note) => (
				<p key={note} class="notice warn">
					{note}
				</p>
			))}
			{view === "json" ? (
				<div class="body">
					<JsonView json={answer.json} />
				</div>
			) : view === "code" ? (
				<div class="body stack">
					<Code
						title="The same query in TypeScript"
						text={answer.code.typescript}
						copy="Copy code"
					/>
					<Code
						title="On the command line"
						text={answer.code.shell}
						copy="Copy command"
						wraps
					/>
				</div>
			) : answer.explanation === undefined ? (
				<Rows answer={answer} />
			) : (
				<Explanation explanation={answer.explanation} />
			)}
		</section>
	);
}

function Rows({ answer }: { readonly answer: ConsoleResponse }) {
	const { columns, rows, entities } = answer;
	if (rows.length === 0)
		return (
			<Empty title="No rows">
				<p>
					The query is right, and nothing of this tenant and user fulfils it.
				</p>
			</Empty>
		);
	return (
		<Scrolls class="table-scroll" label="Rows of the answer">
			<table>
				<thead>
					<tr>
						{columns.map(({ name, type }) => (
							<th
								key={name}
								scope="col"
								class={isNumeric(type) ? "number" : undefined}
							>
								{name}
							</th>
						))}
					</tr>
				</thead>
				<tbody>
					{rows.map((row, at) => {
						const entity = entities[at];
						return (
							<tr key={at}>
								{columns.map(({ name, type }, column) => {
									const value = <Value value={row[name]} type={type} />;
									const isNumber =
										isNumeric(type) || typeof row[name] === "number";
									return (
										<td key={name} class={isNumber ? "number" : undefined}>
											{column === 0 && entity != null ? (
												<a
													data-row
													href={hrefOf("entities", {
														table: entity.entityType,
														id: entity.entityId,
													})}
												>
													{value}
												</a>
											) : (
												value
											)}
										</td>
									);
								})}
							</tr>
						);
					})}
				</tbody>
			</table>
		</Scrolls>
	);
}

function Explanation({
	explanation,
}: {
	readonly explanation: NonNullable<ConsoleResponse["explanation"]>;
}) {
	return (
		<div class="body stack">
			<p>
				{counted(explanation.rowCount, "row")} from{" "}
				{counted(explanation.statements.length, "statement")} in{" "}
				{duration(explanation.durationMs)}
			</p>
			<JsonView
				title="How the query was read"
				json={JSON.stringify(explanation.query, null, 2)}
			/>
			{explanation.statements.map((statement, at) => (
				<div key={at} class="stack tight">
					<h3>
						Statement {at + 1}: {counted(statement.rowCount, "row")} in{" "}
						{duration(statement.durationMs)}
					</h3>
					<Code title="SQL" text={statement.text} copy="Copy SQL" />
					<Code
						title="PostgreSQL's plan"
						text={statement.plan.join("\n")}
						copy="Copy plan"
					/>
				</div>
			))}
		</div>
	);
}

function Examples() {
	const { tables } = useStudio();
	const table = tables[0]?.name ?? "documents";
	const searched = tables.find(
		({ embedFields }) => embedFields.length > 0,
	)?.name;
	const queries = [
		'RECALL "what do we know about …?" LIMIT 5',
		`SEARCH "a topic" IN ${searched ?? table} LIMIT 10`,
		'LOOKUP "a key"',
		'FUZZY "a kye" THRESHOLD 0.3',
		'TRAVERSE WITH LOOKUP "a key" DEPTH 2',
		`SQL ${table} WHERE created_at > now() - interval '7 days' LIMIT 20`,
	];
	return (
		<section class="card">
			<Empty title="Run a query">
				<p>
					Begin with one of these, and press Ctrl Space for what comes next.
				</p>
				<ul class="stack tight examples">
					{queries.map((query) => (
						<li key={query}>
							<a data-row href={hrefOf("console", { q: query })}>
								<code>{query}</code>
							</a>
						</li>
					))}
				</ul>
			</Empty>
		</section>
	);
}

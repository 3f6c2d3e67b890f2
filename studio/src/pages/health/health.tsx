import type { ComponentChildren } from "preact";
import type {
	CacheHealth,
	HealthChecks,
	HealthPart,
	IndexHealth,
	PoolHealth,
	StatementHealth,
} from "../../../../src/studio/api/health.ts";
import { Scrolls } from "../../components/scrolls.tsx";
import { Empty, Loading, Problem, sentence } from "../../components/states.tsx";
import { Time } from "../../components/time.tsx";
import { Failure } from "../../lib/failure.ts";
import { count, counted, duration } from "../../lib/format.ts";
import { Embeddings } from "./embeddings.tsx";
import { useHealth } from "./live.ts";

/** Whether everything works, as it is now. */
export function HealthPage() {
	const { health, isLive } = useHealth();
	return (
		<>
			<div class="page-head">
				<h1>Health</h1>
				<p>The database, its queues and its indexes.</p>
				<span class={isLive ? "badge good" : "badge warn"} role="status">
					{isLive ? "live" : "connecting"}
				</span>
			</div>
			<div class="health">
				<Part title="Checks" part={health.checks} wide>
					{(checks) => <Checks checks={checks} />}
				</Part>
				<Part title="Embeddings" part={health.embeddings} wide>
					{(embeddings) => <Embeddings embeddings={embeddings} />}
				</Part>
				<Part title="Cache" part={health.cache}>
					{(cache) => <Cache cache={cache} />}
				</Part>
				<Part title="Connections" part={health.pool}>
					{(pool) => <Pool pool={pool} />}
				</Part>
				<Part title="Indexes" part={health.indexes} wide>
					{(indexes) => <Indexes indexes={indexes} />}
				</Part>
				<Part title="Slowest calls of the studio" part={health.statements} wide>
					{(statements) => <Statements statements={statements} />}
				</Part>
			</div>
		</>
	);
}

function Part<Data>({
	title,
	part,
	wide = false,
	children,
}: {
	readonly title: string;
	readonly part: HealthPart<Data> | null;
	readonly wide?: boolean;
	readonly children: (data: Data) => ComponentChildren;
}) {
	return (
		<section class={wide ? "card is-wide" : "card"} aria-label={title}>
			<header>
				<h2>{title}</h2>
				{part === null ? null : (
					<span class="muted">
						<Time at={part.at} />
					</span>
				)}
			</header>
			{part === null ? (
				<Loading label={title} />
			) : part.ok ? (
				children(part.data)
			) : (
				<div class="body">
					<Problem failure={new Failure({ status: 200, ...part.error })} />
				</div>
			)}
		</section>
	);
}

const checkTones = { ok: "good", warning: "warn", failed: "bad" } as const;
const checkOrder = { failed: 0, warning: 1, ok: 2 } as const;

function Checks({ checks: { checks } }: { readonly checks: HealthChecks }) {
	const sorted = [...checks].sort(
		(a, b) => checkOrder[a.state] - checkOrder[b.state],
	);
	return (
		<ul class="checks">
			{sorted.map(({ name, state, found, remedy }) => (
				<li key={name}>
					<span class={`badge ${checkTones[state]}`}>{state}</span>
					<strong>{name}</strong>
					<span>
						{found}
						{remedy === undefined ? null : <span class="remedy">{remedy}</span>}
					</span>
				</li>
			))}
		</ul>
	);
}

function Cache({ cache }: { readonly cache: CacheHealth }) {
	const entries = Object.entries(cache.entries ?? {});
	return (
		<div class="body stack tight">
			<div class="row">
				<span class={cache.isReady ? "badge good" : "badge warn"}>
					{cache.isReady
						? "ready"
						: cache.isRebuilding
							? "rebuilding"
							: "not ready"}
				</span>
				<span class="badge">{cache.persistence}</span>
			</div>
			{cache.problems.map((problem) => (
				<p key={problem} class="notice warn">
					{sentence(problem)}
				</p>
			))}
			{entries.length === 0 ? (
				<p class="muted">No entries.</p>
			) : (
				<table class="dense">
					<thead>
						<tr>
							<th>Entity type</th>
							<th class="number">Entries</th>
						</tr>
					</thead>
					<tbody>
						{entries.map(([name, entries]) => (
							<tr key={name}>
								<td>{name}</td>
								<td class="number">{count(entries)}</td>
							</tr>
						))}
					</tbody>
				</table>
			)}
		</div>
	);
}

function Pool({ pool: { connections } }: { readonly pool: PoolHealth }) {
	if (connections === null)
		return (
			<p class="body muted">
				The embedded database runs in this process: it has no pool.
			</p>
		);
	const { max, total, idle, waiting } = connections;
	const busy = total - idle;
	return (
		<div class="body stack tight">
			<div class="pool" role="img" aria-label={`${busy} of ${max} are busy`}>
				{Array.from({ length: max }, (_, at) => (
					<i
						key={at}
						class={at < busy ? "is-busy" : at < total ? "is-idle" : ""}
					/>
				))}
			</div>
			<dl class="facts figures">
				<dt>Busy</dt>
				<dd class="number">{busy}</dd>
				<dt>Idle</dt>
				<dd class="number">{idle}</dd>
				<dt>Most</dt>
				<dd class="number">{max}</dd>
				<dt>Waiting calls</dt>
				<dd class="number">{waiting}</dd>
			</dl>
		</div>
	);
}

const goodStates = ["valid"];
const waitingStates = ["building", "queued", "deferred"];

function Indexes({ indexes: { indexes } }: { readonly indexes: IndexHealth }) {
	if (indexes.length === 0)
		return (
			<Empty title="No index yet">
				<p>Indexes are built in the background once a table has enough rows.</p>
			</Empty>
		);
	return (
		<Scrolls class="table-scroll" label="All indexes">
			<table>
				<thead>
					<tr>
						<th>Index</th>
						<th>Table</th>
						<th>Type</th>
						<th>State</th>
						<th class="number">Size</th>
						<th>Progress</th>
					</tr>
				</thead>
				<tbody>
					{indexes.map((index) => (
						<tr key={index.name}>
							<td>
								<code class="clip is-long">{index.name}</code>
							</td>
							<td>{index.table}</td>
							<td>{index.type ?? "—"}</td>
							<td>
								<span
									class={`badge ${
										goodStates.includes(index.state)
											? "good"
											: waitingStates.includes(index.state)
												? "warn"
												: "bad"
									}`}
								>
									{index.state}
								</span>
								{index.error === null ? null : (
									<p class="reason">{index.error}</p>
								)}
							</td>
							<td class="number">{size(index.sizeBytes)}</td>
							<td class="progress">
								{index.percent === null ? (
									<span class="muted">—</span>
								) : (
									<>
										<span class="bar">
											<i style={{ width: `${index.percent}%` }} />
										</span>
										<span class="muted">
											{Math.round(index.percent)} % {index.phase ?? ""}
											{index.etaMs === null
												? ""
												: `, ${duration(index.etaMs)} left`}
										</span>
									</>
								)}
							</td>
						</tr>
					))}
				</tbody>
			</table>
		</Scrolls>
	);
}

function size(bytes: number): string {
	if (bytes < 1_024) return `${bytes} B`;
	const units = ["KiB", "MiB", "GiB", "TiB"];
	let value = bytes;
	let unit = "B";
	for (const next of units) {
		if (value < 1_024) break;
		value /= 1_024;
		unit = next;
	}
	return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`;
}

function Statements({
	statements: { statements },
}: {
	readonly statements: StatementHealth;
}) {
	if (statements.length === 0)
		return <p class="body muted">None has been made yet.</p>;
	return (
		<Scrolls class="table-scroll" label="Slow calls">
			<table>
				<thead>
					<tr>
						<th class="number">Took</th>
						<th>Call</th>
						<th class="number">Rows</th>
						<th>At</th>
					</tr>
				</thead>
				<tbody>
					{statements.slice(0, 15).map((statement) => (
						<tr key={`${statement.at} ${statement.text}`}>
							<td class="number">{duration(statement.durationMs)}</td>
							<td>
								<code class="clip is-long" title={statement.text}>
									{statement.text}
								</code>
								{statement.error === null ? null : (
									<p class="reason">{statement.error}</p>
								)}
							</td>
							<td class="number">{count(statement.rows)}</td>
							<td>
								<Time at={statement.at} />
							</td>
						</tr>
					))}
				</tbody>
			</table>
			{statements.length > 15 ? (
				<p class="paging muted">
					and {counted(statements.length - 15, "quicker call")}
				</p>
			) : null}
		</Scrolls>
	);
}

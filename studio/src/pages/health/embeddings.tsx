import type { EmbeddingHealth } from "../../../../src/studio/api/health.ts";
import { Scrolls } from "../../components/scrolls.tsx";
import { count, duration, percent } from "../../lib/format.ts";

/** How far the texts are embedded, what waits, and what was dead-lettered. */
export function Embeddings({
	embeddings,
}: {
	readonly embeddings: EmbeddingHealth;
}) {
	const { configured, fields, mismatched, perSecond, etaMs } = embeddings;
	return (
		<div class="body stack">
			<div class="row">
				<span class="badge">
					{configured === null
						? "no provider is configured"
						: `${configured.provider} / ${configured.model}`}
				</span>
				<span class={embeddings.isRunning ? "badge good" : "badge"}>
					{embeddings.isRunning
						? "the studio works on the queue"
						: "the studio does not work on the queue"}
				</span>
				{perSecond === null ? null : (
					<span class="badge accent">{perSecond.toFixed(1)} a second</span>
				)}
				{etaMs === null ? null : (
					<span class="badge accent">{duration(etaMs)} left</span>
				)}
			</div>
			{mismatched.length === 0 ? null : (
				<p class="notice warn">
					Searched in another model than the configured one:{" "}
					{mismatched.join(", ")}. “rem embeddings switch” changes the model.
				</p>
			)}
			<History history={embeddings.history} />
			<Scrolls class="table-scroll" label="Fields and their vectors">
				<table>
					<thead>
						<tr>
							<th>Field</th>
							<th>Model</th>
							<th class="number">Texts</th>
							<th class="number">Embedded</th>
							<th class="number">Queued</th>
							<th class="number">Dead letters</th>
						</tr>
					</thead>
					<tbody>
						{fields.map((field) => (
							<tr
								key={`${field.table} ${field.field} ${field.provider} ${field.model}`}
							>
								<td>
									<strong>{field.table}</strong>.{field.field}
									<span
										class="bar tone-name"
										title={percent(
											field.texts === 0 ? 1 : field.embedded / field.texts,
										)}
									>
										<i
											style={{
												width: `${field.texts === 0 ? 0 : (100 * field.embedded) / field.texts}%`,
											}}
										/>
									</span>
									{field.reasons.map(({ reason, count: texts }) => (
										<p key={reason} class="reason">
											{count(texts)} × {reason}
										</p>
									))}
								</td>
								<td>
									{field.provider} / {field.model}{" "}
									<span class="muted">
										{field.dimensions} · {field.state ?? "unknown"}
									</span>
								</td>
								<td class="number">{count(field.texts)}</td>
								<td class="number">{count(field.embedded)}</td>
								<td class="number">
									{count(field.queued)}
									{field.oldestMs === null ? null : (
										<p class="muted">{duration(field.oldestMs)}</p>
									)}
								</td>
								<td class="number">
									{field.dead === 0 ? (
										"0"
									) : (
										<span class="badge bad">{count(field.dead)}</span>
									)}
								</td>
							</tr>
						))}
					</tbody>
				</table>
			</Scrolls>
		</div>
	);
}

type Point = EmbeddingHealth["history"][number];

const width = 600;
const height = 64;

/** Embedded and queued texts over time. */
function History({
	history,
}: {
	readonly history: EmbeddingHealth["history"];
}) {
	const last = history.at(-1);
	if (last === undefined || history.length < 2) return null;
	const top = Math.max(
		...history.flatMap(({ embedded, queued }) => [embedded, queued]),
		1,
	);
	const line = (value: (point: Point) => number) =>
		history
			.map((point, at) => {
				const x = (at * width) / (history.length - 1);
				const y = height - 3 - (value(point) * (height - 6)) / top;
				return `${x.toFixed(1)},${y.toFixed(1)}`;
			})
			.join(" ");
	return (
		<figure class="history">
			<svg
				viewBox={`0 0 ${width} ${height}`}
				preserveAspectRatio="none"
				role="img"
				aria-label={`Embedded ${count(last.embedded)}, queued ${count(last.queued)}`}
			>
				<polyline class="tone-name" points={line(({ embedded }) => embedded)} />
				<polyline class="tone-words" points={line(({ queued }) => queued)} />
			</svg>
			<figcaption class="row muted">
				<span class="badge tone-name">embedded {count(last.embedded)}</span>
				<span class="badge tone-words">queued {count(last.queued)}</span>
				<span>since the studio started</span>
			</figcaption>
		</figure>
	);
}

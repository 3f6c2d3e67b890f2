import type { VectorState } from "../../../src/studio/api/entities.ts";
import { counted } from "../lib/format.ts";
import { Time } from "./time.tsx";

type State = VectorState["state"];

const texts: Readonly<
	Record<State, { readonly text: string; readonly tone: string }>
> = {
	present: { text: "present", tone: "good" },
	queued: { text: "queued", tone: "warn" },
	dead: { text: "dead letter", tone: "bad" },
	stale: { text: "of an older text", tone: "warn" },
	missing: { text: "missing", tone: "bad" },
	empty: { text: "no text", tone: "" },
};

/** The state of the vectors of an entity's texts, and the passages they are of. */
export function VectorStates({
	vectors,
}: {
	readonly vectors: readonly VectorState[];
}) {
	return (
		<ul class="stack tight">
			{vectors.map((vector) => (
				<li
					key={`${vector.field} ${vector.provider} ${vector.model} ${vector.dimensions}`}
					class="vector-state"
				>
					<div class="row">
						<strong>{vector.field}</strong>
						<span class={`badge ${texts[vector.state].tone}`}>
							{texts[vector.state].text}
						</span>
						<span class="muted">
							{vector.provider} / {vector.model} · {vector.dimensions}
						</span>
					</div>
					{vector.reason === null ? null : (
						<p class="reason">{vector.reason}</p>
					)}
					{vector.attempts > 0 || vector.queuedAt !== null ? (
						<p class="muted">
							{counted(vector.attempts, "attempt")}
							{vector.queuedAt === null ? null : (
								<>
									, queued <Time at={vector.queuedAt} />
								</>
							)}
							{vector.nextAttemptAt === null ? null : (
								<>
									, next attempt <Time at={vector.nextAttemptAt} />
								</>
							)}
						</p>
					) : null}
					{vector.passages.length === 0 ? null : (
						<details>
							<summary>{counted(vector.passages.length, "passage")}</summary>
							<ol class="passages">
								{vector.passages.map(({ index, text }) => (
									<li key={index}>
										<span class="muted">{index + 1}</span>
										<span>{text}</span>
									</li>
								))}
							</ol>
						</details>
					)}
				</li>
			))}
		</ul>
	);
}

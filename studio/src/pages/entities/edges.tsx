import { useState } from "preact/hooks";
import type {
	EntityDetail,
	EntityRequest,
} from "../../../../src/studio/api/entities.ts";
import { api } from "../../lib/api.ts";
import { count, counted } from "../../lib/format.ts";
import { hrefOf } from "../../lib/router.ts";
import { useStudio } from "../../lib/studio.ts";
import { Card, type Write } from "./entity.tsx";

interface EdgesProps {
	readonly entity: EntityDetail;
	readonly request: EntityRequest;
	readonly write: Write;
}

/** Edges in both directions; with --write, link and unlink. */
export function Edges({ entity, request, write }: EdgesProps) {
	const { writable } = useStudio();
	const incoming = entity.edgeCounts
		.filter(({ direction }) => direction === "in")
		.reduce((sum, { count }) => sum + count, 0);
	const canWrite = writable && entity.deletedAt === null;
	return (
		<>
			<Card title={`Edges out · ${count(entity.edgesOut.length)}`}>
				<div class="stack tight">
					{entity.edgesOut.length === 0 ? (
						<p class="muted">It leads to no other entity.</p>
					) : (
						<ul class="edge-list">
							{entity.edgesOut.map((edge) => (
								<li key={`${edge.relType} ${edge.dst}`}>
									<span class="badge tone-edge">{edge.relType}</span>
									{edge.target === null ? (
										<span>
											{edge.dst}{" "}
											<span class="badge warn">no entity is called so</span>
										</span>
									) : (
										<a
											href={hrefOf("entities", {
												table: edge.target.entityType,
												id: edge.target.entityId,
											})}
										>
											{edge.target.entityKey ?? edge.dst}
										</a>
									)}
									{edge.weight === null ? null : (
										<span class="muted">weight {edge.weight}</span>
									)}
									{canWrite ? (
										<button
											type="button"
											class="button small"
											onClick={() =>
												write(() =>
													api.unlink({
														...request,
														dst: edge.dst,
														relType: edge.relType,
													}),
												)
											}
											aria-label={`Unlink ${edge.relType} ${edge.dst}`}
										>
											Unlink
										</button>
									) : null}
								</li>
							))}
						</ul>
					)}
					{canWrite ? <LinkForm request={request} write={write} /> : null}
				</div>
			</Card>
			<Card title={`Edges in · ${count(incoming)}`}>
				{entity.edgesIn.length === 0 ? (
					<p class="muted">No entity leads to it.</p>
				) : (
					<div class="stack tight">
						<ul class="edge-list">
							{entity.edgesIn.map((edge) => (
								<li key={`${edge.relType} ${edge.from.entityId}`}>
									<a
										href={hrefOf("entities", {
											table: edge.from.entityType,
											id: edge.from.entityId,
										})}
									>
										{edge.from.entityKey ?? edge.from.entityId}
									</a>
									<span class="badge tone-edge">{edge.relType}</span>
									{edge.weight === null ? null : (
										<span class="muted">weight {edge.weight}</span>
									)}
								</li>
							))}
						</ul>
						{incoming > entity.edgesIn.length ? (
							<p class="muted">
								and {counted(incoming - entity.edgesIn.length, "edge")} more
							</p>
						) : null}
					</div>
				)}
			</Card>
		</>
	);
}

function LinkForm({
	request,
	write,
}: {
	readonly request: EntityRequest;
	readonly write: Write;
}) {
	const [dst, setDst] = useState("");
	const [relType, setRelType] = useState("");
	const submit = async (event: Event) => {
		event.preventDefault();
		const linked = await write(() => api.link({ ...request, dst, relType }));
		if (linked === undefined) return;
		setDst("");
		setRelType("");
	};
	return (
		<form class="query-line" onSubmit={submit}>
			<input
				class="input"
				aria-label="Type of the edge"
				placeholder="type"
				required
				value={relType}
				onInput={({ currentTarget }) => setRelType(currentTarget.value)}
			/>
			<input
				class="input"
				aria-label="Key of the target"
				placeholder="key of the target"
				required
				value={dst}
				onInput={({ currentTarget }) => setDst(currentTarget.value)}
			/>
			<button type="submit" class="button">
				Link
			</button>
		</form>
	);
}

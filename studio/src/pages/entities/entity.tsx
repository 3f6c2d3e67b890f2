import type { ComponentChildren } from "preact";
import { useCallback, useState } from "preact/hooks";
import type {
	FieldModel,
	TableModel,
} from "../../../../src/studio/api/bootstrap.ts";
import type { Json } from "../../../../src/studio/api/common.ts";
import type {
	EntityDetail,
	EntityRequest,
} from "../../../../src/studio/api/entities.ts";
import { JsonView } from "../../components/code.tsx";
import { ConfirmButton } from "../../components/confirm-button.tsx";
import { Empty, Problem, Show, sentence } from "../../components/states.tsx";
import { Time } from "../../components/time.tsx";
import { Value } from "../../components/value.tsx";
import { VectorStates } from "../../components/vector-states.tsx";
import { api } from "../../lib/api.ts";
import { type Failure, toFailure } from "../../lib/failure.ts";
import { useEscape } from "../../lib/keys.ts";
import { useLoad } from "../../lib/load.ts";
import { hrefOf, hrefWith, setParams, useRoute } from "../../lib/router.ts";
import { useScope, useStudio } from "../../lib/studio.ts";
import { Edges } from "./edges.tsx";
import { EditForm } from "./edit-form.tsx";

/** Makes a change and puts its answer in place; `undefined` where it failed. */
export type Write = (
	change: () => Promise<EntityDetail>,
) => Promise<EntityDetail | undefined>;

/** One entity: its fields, vectors, edges and JSON; with --write, its changes. */
export function EntityPage({
	table,
	id,
}: {
	readonly table: TableModel;
	readonly id: string;
}) {
	const scope = useScope();
	const request: EntityRequest = {
		...scope,
		entityType: table.name,
		entityId: id,
	};
	const loaded = useLoad(request, api.entity);
	const [failure, setFailure] = useState<Failure>();
	useEscape(closeEntity);
	const write: Write = async (change) => {
		setFailure(undefined);
		try {
			const entity = await change();
			loaded.replace(entity);
			return entity;
		} catch (error) {
			setFailure(toFailure(error));
			return undefined;
		}
	};
	return (
		<>
			<nav class="crumbs" aria-label="Path">
				<a href={hrefOf("entities")}>Entities</a>
				<span aria-hidden="true">/</span>
				<a href={hrefWith({ id: undefined, edit: undefined })}>{table.name}</a>
			</nav>
			{failure === undefined ? null : <Problem failure={failure} />}
			{loaded.failure?.status === 404 ? (
				<section class="card">
					<Empty title="There is no such entity here">
						<p>{sentence(loaded.failure.message)}</p>
						<a class="button" href={hrefWith({ id: undefined })}>
							All rows of {table.name}
						</a>
					</Empty>
				</section>
			) : (
				<Show loaded={loaded} label="The entity">
					{(entity) => (
						<Detail
							entity={entity}
							table={table}
							request={request}
							write={write}
						/>
					)}
				</Show>
			)}
		</>
	);
}

function closeEntity(): void {
	setParams({ id: undefined, edit: undefined });
}

interface DetailProps {
	readonly entity: EntityDetail;
	readonly table: TableModel;
	readonly request: EntityRequest;
	readonly write: Write;
}

function Detail({ entity, table, request, write }: DetailProps) {
	const { params } = useRoute();
	const studio = useStudio();
	const isEditing = params.edit === "yes" && studio.writable;
	const close = useCallback(() => setParams({ edit: undefined }), []);
	useEscape(isEditing ? close : undefined);
	return (
		<>
			<Head entity={entity} request={request} write={write} />
			<div class="columns with-panel">
				<div class="stack">
					{isEditing ? (
						<EditForm
							key={entity.updatedAt}
							entity={entity}
							table={table}
							saved={async (change) => {
								const changed = await api.edit({ ...request, ...change });
								await write(async () => changed);
								close();
							}}
							close={close}
						/>
					) : (
						<Card title="Fields">
							<Fields entity={entity} table={table} />
						</Card>
					)}
					<Edges entity={entity} request={request} write={write} />
				</div>
				<div class="stack">
					<Vectors entity={entity} request={request} write={write} />
					<Card title="Times and owner">
						<dl class="facts">
							<dt>Created</dt>
							<dd>
								<Time at={entity.createdAt} />
							</dd>
							<dt>Updated</dt>
							<dd>
								<Time at={entity.updatedAt} />
							</dd>
							{entity.deletedAt === null ? null : (
								<>
									<dt>Deleted</dt>
									<dd>
										<Time at={entity.deletedAt} />
									</dd>
								</>
							)}
							<dt>Tenant</dt>
							<dd>{entity.tenantId ?? "every tenant"}</dd>
							<dt>User</dt>
							<dd>{entity.userId ?? "shared"}</dd>
							<dt>Id</dt>
							<dd>
								<code>{entity.entityId}</code>
							</dd>
						</dl>
					</Card>
					<Card title="JSON">
						<JsonView json={entity.json} title="The row" />
					</Card>
				</div>
			</div>
		</>
	);
}

function Head({
	entity,
	request,
	write,
}: {
	readonly entity: EntityDetail;
	readonly request: EntityRequest;
	readonly write: Write;
}) {
	const { writable, writeHint } = useStudio();
	return (
		<div class="row apart">
			<div class="row">
				<h1 class="entity-title">{entity.title}</h1>
				<span class="badge accent">{entity.entityType}</span>
				{entity.deletedAt === null ? null : (
					<span class="badge bad">deleted</span>
				)}
			</div>
			<div class="row">
				<a class="button" href={hrefOf("graph", { from: entity.entityId })}>
					Graph
				</a>
				{writable ? (
					entity.deletedAt === null ? (
						<>
							<a class="button" href={hrefWith({ edit: "yes" })}>
								Edit
							</a>
							<ConfirmButton
								label="Delete"
								question="Delete it? It can be restored."
								confirmed={() => write(() => api.delete(request))}
							/>
						</>
					) : (
						<button
							type="button"
							class="button primary"
							onClick={() => write(() => api.restore(request))}
						>
							Restore
						</button>
					)
				) : (
					<span class="muted">
						{writeHint === undefined ? "Read-only" : sentence(writeHint)}
					</span>
				)}
			</div>
		</div>
	);
}

export function Card({
	title,
	tools,
	children,
}: {
	readonly title: string;
	readonly tools?: ComponentChildren;
	readonly children: ComponentChildren;
}) {
	return (
		<section class="card" aria-label={title}>
			<header>
				<h2>{title}</h2>
				{tools}
			</header>
			<div class="body">{children}</div>
		</section>
	);
}

/** The model's own fields, then those of every table. */
export function ownFirst({ fields }: TableModel): FieldModel[] {
	return [...fields].sort((a, b) => Number(a.isSystem) - Number(b.isSystem));
}

/** Shown beside the fields already. */
const shownElsewhere = new Set([
	"id",
	"tenantId",
	"userId",
	"createdAt",
	"updatedAt",
	"deletedAt",
	"graphEdges",
]);

function Fields({
	entity,
	table,
}: {
	readonly entity: EntityDetail;
	readonly table: TableModel;
}) {
	const fields = ownFirst(table).filter(
		({ name }) => !shownElsewhere.has(name),
	);
	return (
		<dl class="facts">
			{fields.map((field) => (
				<>
					<dt key={`${field.name} name`}>
						{field.name}
						<span class="type">{field.type}</span>
					</dt>
					<dd key={field.name}>
						<Whole value={entity.fields[field.name]} field={field} />
					</dd>
				</>
			))}
		</dl>
	);
}

/** Texts and JSON in full, everything else as in a cell. */
function Whole({
	value,
	field,
}: {
	readonly value: Json | undefined;
	readonly field: FieldModel;
}) {
	if (typeof value === "string" && field.type === "text")
		return value === "" ? (
			<span class="muted">empty text</span>
		) : (
			<span class="whole">{value}</span>
		);
	if (typeof value === "object" && value !== null && field.type === "jsonb")
		return <code class="whole">{JSON.stringify(value, null, 1)}</code>;
	return <Value value={value} type={field.type} />;
}

function Vectors({
	entity,
	request,
	write,
}: {
	readonly entity: EntityDetail;
	readonly request: EntityRequest;
	readonly write: Write;
}) {
	const { writable } = useStudio();
	const [isBusy, setBusy] = useState(false);
	const lacking = entity.vectors.some(
		({ state }) => state !== "present" && state !== "empty",
	);
	const embed = async () => {
		setBusy(true);
		await write(() => api.embed(request));
		setBusy(false);
	};
	return (
		<Card
			title="Vectors"
			tools={
				writable && lacking && entity.deletedAt === null ? (
					<button
						type="button"
						class="button small"
						disabled={isBusy}
						onClick={embed}
					>
						{isBusy ? "Embedding…" : "Embed now"}
					</button>
				) : undefined
			}
		>
			{entity.vectors.length === 0 ? (
				<p class="muted">
					{entity.deletedAt === null
						? "The table has no embedded fields."
						: "A deleted entity has no vectors. Restore it to queue its texts."}
				</p>
			) : (
				<VectorStates vectors={entity.vectors} />
			)}
		</Card>
	);
}

import { useLayoutEffect, useState } from "preact/hooks";
import type {
	FieldModel,
	TableModel,
} from "../../../../src/studio/api/bootstrap.ts";
import type {
	ListRequest,
	ListResponse,
} from "../../../../src/studio/api/entities.ts";
import { CopyButton } from "../../components/copy.tsx";
import { Scrolls } from "../../components/scrolls.tsx";
import { Segments } from "../../components/segments.tsx";
import { Empty, Show } from "../../components/states.tsx";
import { isNumeric, Value } from "../../components/value.tsx";
import { api } from "../../lib/api.ts";
import { counted, duration } from "../../lib/format.ts";
import { useLoad } from "../../lib/load.ts";
import { namesOf, textOfNames, toggled } from "../../lib/names.ts";
import { hrefOf, hrefWith, setParams, useRoute } from "../../lib/router.ts";
import { useScope } from "../../lib/studio.ts";

const pageRows = 50;

/** One table's rows, a page at a time: the next begins behind the last row of this one. */
export function EntityList({ table }: { readonly table: TableModel }) {
	const { params } = useRoute();
	const scope = useScope();
	const { filter, sort, cursor } = params;
	const rows = params.rows === "deleted" ? "deleted" : "live";
	const request: ListRequest = {
		...scope,
		table: table.name,
		rows,
		limit: pageRows,
		...(filter === undefined ? {} : { filter }),
		...(sort === undefined ? {} : { orderBy: sort }),
		...(cursor === undefined ? {} : { cursor }),
	};
	const listed = useLoad(request, api.list);
	return (
		<section class="card" aria-label={`Rows of ${table.name}`}>
			<div class="body stack tight">
				<FilterForm table={table} />
				<div class="row apart">
					<Segments
						label="Rows"
						options={[
							{ value: "live", text: "Live" },
							{ value: "deleted", text: "Deleted" },
						]}
						chosen={rows}
						href={(value) =>
							hrefWith({
								...firstPage,
								rows: value === "live" ? undefined : value,
							})
						}
					/>
					<Columns table={table} />
				</div>
			</div>
			<Show loaded={listed} label={`Rows of ${table.name}`}>
				{(page) => <Page table={table} page={page} />}
			</Show>
		</section>
	);
}

const firstPage = { cursor: undefined, pageNumber: undefined } as const;

function FilterForm({ table }: { readonly table: TableModel }) {
	const { params } = useRoute();
	const [text, setText] = useState(params.filter ?? "");
	useLayoutEffect(() => setText(params.filter ?? ""), [params.filter]);
	const submit = (event: Event) => {
		event.preventDefault();
		setParams({ ...firstPage, filter: text.trim() });
	};
	const example = table.fields.find(
		({ isSystem, type }) => !isSystem && isNumeric(type),
	);
	return (
		<form class="query-line" onSubmit={submit}>
			<input
				class="input mono"
				data-search
				aria-label="Filter"
				placeholder={
					example === undefined
						? "created_at > now() - interval '7 days'"
						: `${example.column} > 2000`
				}
				spellcheck={false}
				autocomplete="off"
				value={text}
				onInput={({ currentTarget }) => setText(currentTarget.value)}
			/>
			<button type="submit" class="button">
				Filter
			</button>
			{params.filter === undefined ? null : (
				<a class="button" href={hrefWith({ ...firstPage, filter: undefined })}>
					Clear
				</a>
			)}
		</form>
	);
}

/** As many as are read at a glance: the model's own fields, then when it was written. */
function shownFields(
	table: TableModel,
	chosen: string | undefined,
): FieldModel[] {
	const titles = table.keyFields.length === 1 ? table.keyFields : [];
	const candidates = table.fields.filter(({ name }) => !titles.includes(name));
	if (chosen !== undefined) {
		const names = namesOf(chosen);
		return candidates.filter(({ name }) => names.includes(name));
	}
	const own = candidates.filter(({ isSystem }) => !isSystem).slice(0, 5);
	const written = candidates.filter(({ name }) => name === "updatedAt");
	return [...own, ...written];
}

function Columns({ table }: { readonly table: TableModel }) {
	const { params } = useRoute();
	const shown = shownFields(table, params.columns).map(({ name }) => name);
	const toggle = (name: string) =>
		setParams({ columns: textOfNames(toggled(shown, name)) || "none" });
	return (
		<details class="menu">
			<summary class="button small">Columns</summary>
			<fieldset class="menu-body" aria-label="Columns">
				{table.fields
					.filter(
						({ name }) =>
							!(table.keyFields.length === 1 && table.keyFields[0] === name),
					)
					.map(({ name, type }) => (
						<label key={name} class="check">
							<input
								type="checkbox"
								checked={shown.includes(name)}
								onChange={() => toggle(name)}
							/>
							{name} <span class="muted">{type}</span>
						</label>
					))}
			</fieldset>
		</details>
	);
}

function Page({
	table,
	page,
}: {
	readonly table: TableModel;
	readonly page: ListResponse;
}) {
	const { params } = useRoute();
	if (page.rows.length === 0) return <NoRows table={table} />;
	const fields = shownFields(table, params.columns);
	const titleField = table.keyFields.length === 1 ? table.keyFields[0] : "id";
	return (
		<>
			<Scrolls class="table-scroll" label="Page of rows">
				<table class="entities">
					<thead>
						<tr>
							<Heading
								name={titleField ?? "id"}
								field={table.fields.find(({ name }) => name === titleField)}
							/>
							{fields.map((field) => (
								<Heading key={field.name} name={field.name} field={field} />
							))}
						</tr>
					</thead>
					<tbody>
						{page.rows.map((row) => (
							<tr key={row.entityId}>
								<td>
									<a
										class="clip"
										data-row
										href={hrefWith({ id: row.entityId })}
									>
										{row.title}
									</a>
								</td>
								{fields.map(({ name, type }) => (
									<td key={name} class={isNumeric(type) ? "number" : undefined}>
										<Value value={row.fields[name]} type={type} />
									</td>
								))}
							</tr>
						))}
					</tbody>
				</table>
			</Scrolls>
			<Paging page={page} />
		</>
	);
}

function Heading({
	name,
	field,
}: {
	readonly name: string;
	readonly field: FieldModel | undefined;
}) {
	const { params } = useRoute();
	const className = isNumeric(field?.type) ? "number" : undefined;
	if (field === undefined || !field.isSortable)
		return (
			<th scope="col" class={className}>
				{name}
			</th>
		);
	const isUp = params.sort === name;
	const isDown = params.sort === `${name} desc`;
	const next = isUp ? `${name} desc` : isDown ? undefined : name;
	return (
		<th
			scope="col"
			class={className}
			aria-sort={isUp ? "ascending" : isDown ? "descending" : undefined}
		>
			<button
				type="button"
				onClick={() => setParams({ ...firstPage, sort: next })}
			>
				{name} <span aria-hidden="true">{isUp ? "▲" : isDown ? "▼" : ""}</span>
			</button>
		</th>
	);
}

function Paging({ page }: { readonly page: ListResponse }) {
	const { params } = useRoute();
	const number = Number(params.pageNumber ?? 1);
	return (
		<footer class="paging row apart">
			<span class="muted">
				Page {number}, {counted(page.rows.length, "row")} in{" "}
				{duration(page.durationMs)}
			</span>
			<span class="row">
				<CopyButton
					label="Copy JSON"
					text={JSON.stringify(
						page.rows.map(({ fields }) => fields),
						null,
						2,
					)}
				/>
				{number > 1 ? (
					<>
						<a class="button small" href={hrefWith(firstPage)}>
							First page
						</a>
						<button
							type="button"
							class="button small"
							onClick={() => window.history.back()}
						>
							Back
						</button>
					</>
				) : null}
				{page.next === null ? (
					<span class="muted">last page</span>
				) : (
					<a
						class="button small"
						href={hrefWith({
							cursor: page.next,
							pageNumber: String(number + 1),
						})}
					>
						Next page
					</a>
				)}
			</span>
		</footer>
	);
}

function NoRows({ table }: { readonly table: TableModel }) {
	const { params } = useRoute();
	if (params.filter !== undefined)
		return (
			<Empty title="No row fulfils the filter">
				<a class="button" href={hrefWith({ ...firstPage, filter: undefined })}>
					Clear the filter
				</a>
			</Empty>
		);
	if (params.rows === "deleted")
		return (
			<Empty title="Nothing is deleted">
				<p>Rows that are soft-deleted appear here and can be restored.</p>
			</Empty>
		);
	return (
		<Empty title={`${table.name} has no rows of this tenant`}>
			<p>
				Load some with <code>rem load FILE --table {table.name}</code>, choose
				another tenant, or look at the{" "}
				<a href={hrefOf("health")}>health of the database</a>.
			</p>
		</Empty>
	);
}

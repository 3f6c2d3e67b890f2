import { Empty } from "../../components/states.tsx";
import { api } from "../../lib/api.ts";
import { count } from "../../lib/format.ts";
import { useLoad } from "../../lib/load.ts";
import { hrefOf, useRoute } from "../../lib/router.ts";
import { tableOf, useScope, useStudio } from "../../lib/studio.ts";
import { EntityPage } from "./entity.tsx";
import { EntityList } from "./entity-list.tsx";

/** The tables; the rows of one of them; one row. */
export function EntitiesPage() {
	const { params } = useRoute();
	const studio = useStudio();
	const name = params.table ?? studio.tables[0]?.name ?? "";
	const table = tableOf(studio, name);
	if (table !== undefined && params.id !== undefined)
		return <EntityPage table={table} id={params.id} />;
	return (
		<>
			<div class="page-head">
				<h1>Entities</h1>
				<p>What is stored, table by table.</p>
			</div>
			<Tables chosen={name} />
			{table === undefined ? (
				<section class="card">
					<Empty
						title={
							studio.tables.length === 0
								? "There is no table yet"
								: `There is no table “${name}”`
						}
					>
						<p>
							{studio.tables.length === 0
								? "Start the studio with --models PATH, or load data with rem load."
								: "Choose one of those above."}
						</p>
					</Empty>
				</section>
			) : (
				<EntityList key={name} table={table} />
			)}
		</>
	);
}

function Tables({ chosen }: { readonly chosen: string }) {
	const scope = useScope();
	const { tables } = useStudio();
	const counts = useLoad({ ...scope }, api.counts);
	return (
		<nav class="tables" aria-label="Tables">
			{tables.map(({ name }) => (
				<a
					key={name}
					class="table-tab"
					href={hrefOf("entities", { table: name })}
					aria-current={name === chosen ? "true" : undefined}
				>
					<span>{name}</span>
					<span class="number muted">
						{counts.value === undefined
							? "…"
							: count(counts.value.counts[name] ?? 0)}
					</span>
				</a>
			))}
		</nav>
	);
}

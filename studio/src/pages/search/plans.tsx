import type { TablePlan } from "../../../../src/studio/api/search.ts";
import { Code } from "../../components/code.tsx";
import { Scrolls } from "../../components/scrolls.tsx";
import { Empty } from "../../components/states.tsx";
import { count, counted, duration } from "../../lib/format.ts";

/** How each table was searched. */
export function Plans({ tables }: { readonly tables: readonly TablePlan[] }) {
	if (tables.length === 0)
		return (
			<section class="card">
				<Empty title="No plan for this search">
					<p>
						Lookups and similar names are read from the cache, by one statement:
						run the query with EXPLAIN in the console to see it.
					</p>
				</Empty>
			</section>
		);
	return (
		<>
			{tables.map((plan) => (
				<section key={plan.table} class="card">
					<header>
						<h2>{plan.table}</h2>
						<span class={plan.isExact ? "badge good" : "badge"}>
							{plan.isExact ? "exact" : "approximate"}
						</span>
						<span class="badge">{counted(plan.statements, "statement")}</span>
						<span class="badge">embed {duration(plan.timing.embedMs)}</span>
						<span class="badge">plan {duration(plan.timing.planMs)}</span>
						<span class="badge">search {duration(plan.timing.searchMs)}</span>
					</header>
					<div class="body stack">
						<Scrolls
							class="table-scroll"
							label={`How ${plan.table} was searched`}
						>
							<table>
								<thead>
									<tr>
										<th>Field</th>
										<th>Searched by</th>
										<th class="number">Vectors in scope</th>
										<th class="number">ef_search</th>
									</tr>
								</thead>
								<tbody>
									{plan.fields.map((field) => (
										<tr key={field.field}>
											<td>{field.field}</td>
											<td>{field.plan}</td>
											<td class="number">{count(field.vectors)}</td>
											<td class="number">{count(field.efSearch)}</td>
										</tr>
									))}
								</tbody>
							</table>
						</Scrolls>
						<Code title="SQL" text={plan.sql} copy="Copy SQL" />
						<Code
							title="PostgreSQL's plan"
							text={plan.databasePlan}
							copy="Copy plan"
						/>
					</div>
				</section>
			))}
		</>
	);
}

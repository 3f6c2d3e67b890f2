import type { ServiceCore } from "../core/service-core.ts";
import type { Models } from "../verbs/call-options.ts";
import { RowsMethods } from "../verbs/repository/rows-methods.ts";
import { rowsVerbs } from "../verbs/repository/verbs.ts";
import type { ForeignRow, IsolationProbe, ProbeScope } from "../verbs/verb.ts";
import { VerbMethods } from "../verbs/verb-methods.ts";
import { verbs } from "../verbs/verbs.ts";

/** Reads find; writes change. */
export type ProbeKind = "reads" | "writes";

const reading: readonly IsolationProbe<never>["does"][] = ["finds", "counts"];

interface Attempt {
	readonly row: ForeignRow;
	readonly scope: ProbeScope;
	/** With one, the verbs are those of the user's scope; `null`: of a scope of shared rows. @default the service's */
	readonly userId?: string | null;
}

/** Tries every verb of the kind on the row, as the scope's tenant or user; each entry names the one that reached it. */
export async function tryVerbs(
	core: ServiceCore,
	kind: ProbeKind,
	{ row, scope, userId }: Attempt,
): Promise<string[]> {
	const bound =
		userId === undefined ? undefined : { tenantId: scope.tenantId, userId };
	const service = new VerbMethods<Models>(core, bound);
	const rows = new RowsMethods({ core, table: row.table, scope: bound });
	const reached: string[] = [];
	for (const [owner, all] of [
		[service, verbs],
		[rows, rowsVerbs],
	] as const)
		for (const { name, probe } of all) {
			if (probe === undefined) continue;
			if (reading.includes(probe.does) !== (kind === "reads")) continue;
			const call = Reflect.get(owner, name).bind(owner);
			if (await probe.reaches(call, row, scope))
				reached.push(
					`${name} ${probe.does} a row of ${row.table.entity.tableName}`,
				);
		}
	return reached;
}

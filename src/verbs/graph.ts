import type { Buckets } from "../buckets/buckets.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { RemError } from "../errors.ts";
import type { GraphNode } from "../query/graph/traversal.ts";
import {
	checkEntityName,
	findNode,
	type GraphReader,
} from "../query/graph/traverse.ts";
import { checkScope } from "../query/scope.ts";
import type { RowOfTenant } from "../store/link-edges.ts";
import {
	type CallScope,
	type ReadOptions,
	readHandle,
} from "./call-options.ts";

// What traverse, link and unlink have in common.

/** @internal What the graph is read with. */
export function graphReader(
	core: ServiceCore,
	options: ReadOptions,
): GraphReader {
	const { db, settings, registry, cacheFallback: fallback } = core;
	const protectedTables = registry
		.all()
		.filter((table) => table.hasRowSecurity);
	return {
		db: readHandle(core, options),
		schema: settings.schema,
		fallback,
		named: db.capabilities.namedStatements,
		securedTypes: protectedTables.map(({ entity }) => entity.tableName),
	};
}

/** @internal The one row that the call's `from` names; throws `VALIDATION` if none or several have the name. */
export async function rowNamed(
	core: ServiceCore,
	from: string,
	call: CallScope,
): Promise<RowOfTenant> {
	const { settings, registry } = core;
	const scope = { tenantId: core.tenant(call.tenantId), userId: call.userId };
	checkScope(scope);
	checkEntityName("from", from);
	const found = await findNode(graphReader(core, call), from, {
		schema: settings.schema,
		scope,
	});
	if (found === undefined)
		throw new RemError("VALIDATION", `nothing is named "${from}"`, {
			hint: "write the entity first; its edges are part of it",
		});
	if (found.matches > 1) throw ambiguous(from, found.matches, found.node);
	const { entityType, entityId: id } = found.node;
	return { table: registry.get(entityType), id, tenantId: scope.tenantId };
}

/**
 * @internal
 * Changes the edges of a row in the bucket of its tenant; those of a row without
 * a tenant in all buckets, in one transaction.
 */
export async function changeLinks<Call extends CallScope & { from: string }>(
	buckets: Buckets,
	call: Call,
	change: (core: ServiceCore, call: Call) => Promise<unknown>,
): Promise<unknown> {
	const core = buckets.of(call.tenantId);
	if (buckets.allHaveTenants) return change(core, call);
	const { table, id } = await rowNamed(core, call.from, call);
	if (table.entity.tenantScoped) return change(core, call);
	return buckets
		.handle(call.tenantId, call.transaction)
		.transaction(async (transaction) => {
			const results: unknown[] = [];
			for (const one of buckets.all())
				results.push(await change(one, { ...call, from: id, transaction }));
			return results[0];
		});
}

function ambiguous(from: string, matches: number, node: GraphNode): RemError {
	return new RemError("VALIDATION", `${matches} entities are named "${from}"`, {
		hint: `name the one you mean by its id, or as "${node.entityType}/${node.entityKey}"`,
	});
}

import { stoppable } from "../db/stoppable.ts";
import type { EntityTable } from "../models/registry.ts";
import { explainDrift } from "../store/explain-drift.ts";
import {
	type ForgetOptions,
	type ForgetReport,
	type ForgottenRows,
	forgetBatch,
	forgetLeftovers,
	nothingForgotten,
} from "../store/forget-rows.ts";
import type { ServiceCore } from "./service-core.ts";

/** @internal Erases in batches, table by table, until nothing of the owner is left. */
export function forget(
	core: ServiceCore,
	options: ForgetOptions,
): Promise<ForgetReport> {
	return forgetAll(core, options).catch(async (error: unknown) => {
		throw await explainDrift(core.db, core.registry.all(), error);
	});
}

async function forgetAll(
	core: ServiceCore,
	{ tenantId, userId, onProgress, signal }: ForgetOptions,
): Promise<ForgetReport> {
	const db = stoppable(core.handle(tenantId), signal);
	const owner = { tenantId, userId };
	const tables: Record<string, ForgottenRows> = {};
	let total = nothingForgotten;
	const note = ({ entity }: EntityTable, part: ForgottenRows) => {
		const { tableName } = entity;
		if (Object.values(part).every((count) => count === 0)) return;
		tables[tableName] = sum(tables[tableName] ?? nothingForgotten, part);
		total = sum(total, part);
		onProgress?.({ done: total.rows });
	};
	// Tables without tenants have no rows of one.
	const owned = core.registry.all().filter(({ entity }) => entity.tenantScoped);
	for (const table of owned) {
		for (;;) {
			const part = await forgetBatch(db, table, owner);
			note(table, part);
			if (part.rows === 0) break;
		}
		// Under row level security an application may not write these itself.
		if (!core.settings.rowLevelSecurity)
			note(table, await forgetLeftovers(db, table, owner));
	}
	return { ...total, tables };
}

function sum(a: ForgottenRows, b: ForgottenRows): ForgottenRows {
	return {
		rows: a.rows + b.rows,
		vectors: a.vectors + b.vectors,
		words: a.words + b.words,
		kvEntries: a.kvEntries + b.kvEntries,
		queued: a.queued + b.queued,
	};
}

import { basename } from "node:path";
import type { Entity } from "../../models/entity.ts";
import type { Registry } from "../../models/registry.ts";
import type { RowScope } from "../../models/row-problems.ts";
import type { Terminal } from "../output/terminal.ts";
import { type CheckedRows, checkRows } from "./check-rows.ts";
import type { MapOption } from "./mapping.ts";
import { RowShaper } from "./shape-row.ts";
import { fileError, type RowGroup } from "./source.ts";

/** A group of rows that is fit to be loaded. */
export interface LoadPlan {
	readonly group: RowGroup;
	readonly entity: Entity;
	readonly shaper: RowShaper;
	readonly checked: CheckedRows;
}

export interface PlanOptions {
	readonly terminal: Terminal;
	readonly registry: Registry;
	/** Table of rows whose file names none. */
	readonly table: string | undefined;
	readonly maps: readonly MapOption[];
	readonly skipsInvalid: boolean;
	readonly scope: RowScope;
	readonly signal: AbortSignal;
}

/** Reads and checks every file before anything is written. */
export async function planLoad(
	groups: readonly RowGroup[],
	options: PlanOptions,
): Promise<LoadPlan[]> {
	const plans: LoadPlan[] = [];
	for (const group of groups) plans.push(await planGroup(group, options));
	return plans;
}

async function planGroup(
	group: RowGroup,
	options: PlanOptions,
): Promise<LoadPlan> {
	const { terminal, registry, table, maps, ...rest } = options;
	const { entity } = registry.get(tableOf(group, table));
	const shaper = new RowShaper(entity, maps, group.isUntyped);
	const progress = terminal.progress(
		`checking ${basename(group.file)}`,
		undefined,
	);
	try {
		const checked = await checkRows(group, {
			...rest,
			entity,
			shaper,
			leavesOut: maps.length > 0,
			onProgress: progress.update,
		});
		return { group, entity, shaper, checked };
	} finally {
		progress.stop();
	}
}

function tableOf(group: RowGroup, option: string | undefined): string {
	const table = group.table ?? option;
	if (table !== undefined) return table;
	throw fileError({ file: group.file }, "does not name a table", {
		hint: "--table names the table of its rows; it may be left out where there is one model",
	});
}

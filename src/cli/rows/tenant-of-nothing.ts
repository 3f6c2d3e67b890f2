import type { Entity } from "../../models/entity.ts";
import type { AnyService } from "../open-service.ts";
import type { ScopeOptions } from "../options.ts";
import type { Terminal } from "../output/terminal.ts";
import { noticeUndescribed } from "../undescribed-tables.ts";
import { scopeOfRows } from "./named-rows.ts";

/** Reports that there is no result, of which tenant, and whether that has any row: its name may be misspelt. */
export async function noticeNothing(
	terminal: Terminal,
	service: AnyService,
	{ options, text }: { readonly options: ScopeOptions; readonly text: string },
): Promise<void> {
	if (!terminal.hasNotices) return;
	terminal.notice(`${text} ${await describeTenant(service, options)}`);
	await noticeUndescribed(terminal, service, options);
}

/** `in tenant "acme", which has no rows` */
async function describeTenant(
	service: AnyService,
	{ tenant }: ScopeOptions,
): Promise<string> {
	const name = `in tenant "${service.core.tenant(tenant)}"`;
	// A table that is missing or may not be read has no rows to show here; the search itself did without.
	const rows = await hasRows(service, { tenant }).catch(() => true);
	return rows ? name : `${name}, which has no rows`;
}

/** One row of one table answers it, by an index. */
async function hasRows(
	service: AnyService,
	options: { readonly tenant: string | undefined },
): Promise<boolean> {
	const scope = scopeOfRows(service, {
		...(options.tenant === undefined ? {} : { tenant: options.tenant }),
	});
	const owned: readonly Entity[] = service.registry
		.all()
		.flatMap(({ entity }) => (entity.tenantScoped ? entity : []));
	for (const entity of owned) {
		const rows = await scope.repository(entity).find({}, { limit: 1 });
		if (rows.length > 0) return true;
	}
	return owned.length === 0;
}

import { rowsVerbCalls } from "../../test/support/rows-verb-samples.ts";
import { byVariant } from "../../test/support/sample-calls.ts";
import { verbCalls } from "../../test/support/verb-samples.ts";
import type { GrownRow, GrownService, GrowthCall } from "./grown-row.ts";
import { Grown } from "./grown-rows.ts";

/** The calls of every verb, each on the service. */
export const growthCalls: Readonly<Record<string, GrowthCall>> = {
	...callsOf(verbCalls, (service) => service),
	...callsOf(rowsVerbCalls, rowsOf),
};

function callsOf<Target>(
	calls: Readonly<
		Record<string, { readonly growth: readonly GrowthCall<Target>[] }>
	>,
	targetOf: (service: GrownService, row: GrownRow) => Target,
) {
	return Object.fromEntries(
		Object.entries(calls).flatMap(([name, { growth }]) =>
			byVariant(name, growth).map(([title, one]) => [
				title,
				{
					...one,
					call: (service: GrownService, row: GrownRow, prepared: never) =>
						one.call(targetOf(service, row), row, prepared),
				},
			]),
		),
	);
}

export function rowsOf(service: GrownService, { tenantId }: GrownRow) {
	return service.scope({ tenantId }).repository(Grown);
}

import {
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import {
	type Names,
	nameTenant,
	someNumbers,
	tenantCount,
	withNames,
	wordy,
} from "../support/names.ts";
import { milliseconds, whole } from "../support/numbers.ts";
import { pairedRounds, settle, timed } from "../support/paired.ts";
import { ratios } from "../support/statistics.ts";

/** Misspelt names found in a tenant that is the same, among few others and ten times as many. */
export const fuzzy: BenchCase = { name: "fuzzy", run };

const queries = 50;

async function run(context: Context): Promise<Figure[]> {
	const all = context.quick ? 10_000 : 100_000;
	const own = all / tenantCount;
	return withNames(context, wordy, { all, own }, (few) =>
		withNames(context, wordy, { all: 10 * all, own }, async (many) => {
			const times = await pairedRounds(
				{
					few: () => timed(() => findAll(few)),
					many: () => timed(() => findAll(many)),
				},
				{
					rounds: context.rounds,
					before: () => settle(),
					after: async () => {},
				},
			);
			const each = (ms: readonly number[]) =>
				milliseconds(ms.map((time) => time / queries));
			return [
				{
					name: `FUZZY in a tenant of ${whole(own)} names: among ${whole(10 * all)} ÷ among ${whole(all)}`,
					values: ratios(times.many, times.few),
					unit: "×",
					target: atMost(3.5),
					detail: `${each(times.many)}; ${each(times.few)}`,
				},
			];
		}),
	);
}

async function findAll({ service, naming, own }: Names): Promise<void> {
	for (const number of someNumbers(queries, own)) {
		const name = naming.of(number);
		// A letter left out, as a hand does.
		const query = name.slice(0, 2) + name.slice(3);
		const hits = await service.fuzzySearch({ query, tenantId: nameTenant });
		if (!hits.some(({ entityKey }) => entityKey === name))
			throw new Error(`"${query}" does not find "${name}"`);
	}
}

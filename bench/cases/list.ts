import { fileURLToPath } from "node:url";
import {
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { childPath, runChild } from "../support/child.ts";
import { Cached } from "../support/models.ts";
import {
	type Names,
	nameTenant,
	numbered,
	someNumbers,
	withNames,
} from "../support/names.ts";
import { milliseconds, whole } from "../support/numbers.ts";
import { pairedRounds, settle, timed } from "../support/paired.ts";
import { ratios } from "../support/statistics.ts";

/** The first page of many rows, against one row by its key: the commands, and the verbs behind them. */
export const list: BenchCase = { name: "list", run };

async function run(context: Context): Promise<Figure[]> {
	const own = context.quick ? 10_000 : 1_000_000;
	return withNames(context, numbered, { all: own / 10, own }, async (names) => [
		...(await commands(context, names)),
		await verbs(context, names),
	]);
}

const command = fileURLToPath(
	new URL("../../dist/cli/main.js", import.meta.url),
);

const orders = ["id", "created_at desc", "name"];

async function commands(
	{ rounds }: Context,
	{ database, naming, own }: Names,
): Promise<Figure[]> {
	const options = ["--url", database.url, "--tenant", nameTenant, "--json"];
	const model = ["--models", childPath("cached-model.mjs")];
	/** CPU time of the process as well: it does not depend on what else the machine does. */
	const cpu: Record<string, number[]> = {};
	const run = (name: string, args: readonly string[]) => async () => {
		const ended = await runChild(command, [...args, ...options, ...model]);
		cpu[name] = [...(cpu[name] ?? []), ended.cpuMs];
		return ended.wallMs;
	};
	const key = naming.of(own / 2);
	const times = await pairedRounds(
		{
			get: run("get", ["get", key]),
			...Object.fromEntries(
				orders.map((order) => [
					order,
					run(order, ["list", "cached_rows", "--order-by", order]),
				]),
			),
		} as Record<string, () => Promise<number>>,
		{ rounds, before: () => settle(), after: async () => {} },
	);
	const of = (name: string) => times[name] ?? [];
	return orders.map((order) => ({
		name: `rem list, first page of ${whole(own)} rows by ${order} ÷ rem get`,
		values: ratios(of(order), of("get")),
		unit: "×",
		target: atMost(1.2),
		detail: `${milliseconds(of(order))}; ${milliseconds(of("get"))}; CPU time ${milliseconds(cpu[order] ?? [])}; ${milliseconds(cpu.get ?? [])}`,
	}));
}

const repeats = 50;

async function verbs(
	{ rounds }: Context,
	{ service, naming, own }: Names,
): Promise<Figure> {
	const rows = service.repository(Cached);
	const keys = someNumbers(repeats, own).map(naming.of);
	const found = await rows.find({
		tenantId: nameTenant,
		name: { in: keys },
	});
	const times = await pairedRounds(
		{
			findPage: () =>
				timed(async () => {
					for (let at = 0; at < repeats; at++)
						await rows.findPage({ tenantId: nameTenant }, { limit: 50 });
				}),
			getById: () =>
				timed(async () => {
					for (let at = 0; at < repeats; at++)
						await rows.getById(found[at % found.length]?.id ?? "", nameTenant);
				}),
		},
		{ rounds, before: () => settle(), after: async () => {} },
	);
	const each = (ms: readonly number[]) =>
		milliseconds(ms.map((time) => time / repeats));
	return {
		name: `findPage, 50 rows of ${whole(own)} − getById`,
		values: times.findPage.map(
			(ms, at) => (ms - (times.getById[at] ?? 0)) / repeats,
		),
		unit: "ms",
		detail: `${each(times.findPage)}; ${each(times.getById)}`,
	};
}

import { availableParallelism, loadavg } from "node:os";
import { defineEntity } from "remdb";
import { type StudioHandler, studio } from "remdb/studio";
import * as z from "zod";
import {
	atMost,
	type BenchCase,
	type Context,
	type Figure,
} from "../support/case.ts";
import { firstPaints } from "../support/first-paint.ts";
import { milliseconds, whole } from "../support/numbers.ts";
import { pairedRounds, settle, timed } from "../support/paired.ts";
import { ratios } from "../support/statistics.ts";
import { tenantId, withWorkbench } from "../support/workbench.ts";

/** What the studio adds to a search, its list far behind the first page, and its first paint. */
export const studioCase: BenchCase = { name: "studio", run };

const Page = defineEntity(
	"bench_pages",
	{ name: z.string(), year: z.number().int(), content: z.string().optional() },
	{ entityKeyField: "name" },
);

/** The same, as the file of `--models`. */
const models = `
import * as z from "zod";
import { defineEntity } from "remdb";
export const Page = defineEntity(
	"bench_pages",
	{ name: z.string(), year: z.number().int(), content: z.string().optional() },
	{ entityKeyField: "name" },
);
`;

const starts = 10;
const calls = 20;
const limit = 50;

async function run({
	server,
	quick,
	full,
	rounds,
}: Context): Promise<Figure[]> {
	const count = full ? 1_000_000 : quick ? 10_000 : 100_000;
	return withWorkbench(
		server,
		[Page],
		{ provider: "local" },
		async (database, service) => {
			await service.batchUpsert({
				tableName: "bench_pages",
				entities: pages(count),
				tenantId,
			});
			await service.execute("ANALYZE");
			const handler = studio(service, { tenantId, authorize: () => true });
			const last = await lastPage(service, count);
			const list = (cursor: string | undefined) => () =>
				each(() =>
					post(handler, "list", { table: "bench_pages", limit, cursor }),
				);
			const listed = await pairedRounds(
				{ last: list(last), first: list(undefined) },
				{ rounds, before: () => settle(), after: async () => {} },
			);
			const query = "what is topic 7 of the archive about?";
			const searched = await pairedRounds(
				{
					studio: () => each(() => post(handler, "search", { query })),
					service: () =>
						each(() => service.recall({ query, tenantId, limit: 20 })),
				},
				{ rounds, before: () => settle(), after: async () => {} },
			);
			const paints = await firstPaints(database.url, models, starts);
			return [
				...(paints.length === 0
					? []
					: [
							{
								name: "studio: first paint − address printed",
								values: paints,
								unit: "ms" as const,
								target: atMost(500),
								detail: `median of ${paints.length} starts, load ${load()}`,
							},
						]),
				{
					name: `studio: page of ${limit} at row ${whole(count)} : the first`,
					values: ratios(listed.last, listed.first),
					unit: "×",
					target: atMost(1.5),
					detail: `${milliseconds(listed.last)} : ${milliseconds(listed.first)}`,
				},
				{
					name: `studio: search − service.recall, ${whole(count)} entities`,
					values: searched.studio.map(
						(ms, at) => ms - (searched.service[at] ?? 0),
					),
					unit: "ms",
					target: atMost(50),
					detail: `${milliseconds(searched.studio)} : ${milliseconds(searched.service)}`,
				},
			];
		},
	);
}

/** Runnable processes over the last minute, to a processor. */
function load(): string {
	return ((loadavg()[0] ?? 0) / availableParallelism()).toFixed(1);
}

function* pages(count: number) {
	for (let at = 0; at < count; at++)
		yield {
			name: `page-${at}`,
			year: 1900 + (at % 120),
			// Texts of a few rows: vectors are not what is measured.
			...(at % 100 === 0
				? { content: `Page ${at} is about topic ${at % 50} of the archive.` }
				: {}),
		};
}

interface Pages {
	repository(entity: typeof Page): {
		findPage(
			filter: { tenantId: string },
			options: { limit: number; after?: string },
		): Promise<{ next: string | undefined }>;
	};
}

/** Where the last page begins. */
async function lastPage(service: Pages, count: number): Promise<string> {
	const rows = service.repository(Page);
	let after = "";
	for (let read = 1000; read < count; read += 1000) {
		const options = after === "" ? { limit: 1000 } : { limit: 1000, after };
		const { next } = await rows.findPage({ tenantId }, options);
		if (next === undefined) break;
		after = next;
	}
	return after;
}

async function each(call: () => Promise<unknown>): Promise<number> {
	const ms = await timed(async () => {
		for (let at = 0; at < calls; at++) await call();
	});
	return ms / calls;
}

async function post(
	handler: StudioHandler,
	path: string,
	body: object,
): Promise<unknown> {
	const response = await handler(
		new Request(`http://localhost/api/${path}`, {
			method: "POST",
			headers: { "content-type": "application/json", "x-rem-studio": "1" },
			body: JSON.stringify(body),
		}),
	);
	if (!response.ok) throw new Error(await response.text());
	return response.json();
}

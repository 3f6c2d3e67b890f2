import pg from "pg";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { defineEntity, type RemError } from "../../src/index.ts";
import { engine, useService } from "../support/engine.ts";

const Page = defineEntity(
	"pages",
	{ name: z.string(), content: z.string(), count: z.number().optional() },
	{ entityKeyField: "name" },
);
const db = useService({
	models: [Page],
	embedding: { provider: "local", dimensions: 8 },
	poolSize: 4,
});

const pages = (count: number, mark: string) =>
	Array.from({ length: count }, (_, n) => ({
		name: `page ${n}`,
		content: `content ${n} ${mark}`,
	}));

/**
 * Aborts after some processor time; returns how much more of it passes until the
 * answer, which must be CANCELLED.
 */
async function abortAfter(
	spentMs: number,
	tenantId: string,
	options: object,
): Promise<number> {
	const controller = new AbortController();
	let abortedMs = 0;
	const startedMs = processorMs();
	const timer = setInterval(() => {
		abortedMs = processorMs();
		if (abortedMs - startedMs < spentMs) return;
		clearInterval(timer);
		controller.abort();
	}, 1);
	const error: RemError = await db.service
		.batchUpsert({
			tableName: "pages",
			tenantId,
			entities: [],
			signal: controller.signal,
			...options,
		})
		.then(
			() => expect.fail("it was not cancelled"),
			(error) => error,
		);
	expect(error).toMatchObject({
		code: "CANCELLED",
		hint: "nothing was written",
	});
	const answeredMs = processorMs() - abortedMs;
	expect(await db.service.repository(Page).count({ tenantId })).toBe(0);
	return answeredMs;
}

/** What this process works: other programs do not lengthen it. */
function processorMs(): number {
	const { user, system } = process.cpuUsage();
	return (user + system) / 1000;
}

/** How long the whole call takes, once its code has been compiled. */
let wholeMs = 0;
beforeAll(async () => {
	for (const tenantId of ["cold", "warm"]) {
		const startedMs = processorMs();
		await db.service.batchUpsert({
			tableName: "pages",
			tenantId,
			entities: pages(30_000, "x"),
		});
		wholeMs = processorMs() - startedMs;
		await db.service.execute("TRUNCATE pages CASCADE");
	}
});

// Whatever the call is at, at any of these parts of its time. It took as long as
// the rest of the call before.
test.each([0, 0.05, 0.2, 0.4, 0.6])(
	"an array of 30,000 rows that is aborted after %d of its time answers at once",
	async (part) => {
		const tenantId = `after ${part}`;
		const entities = pages(30_000, "x");
		const answeredMs = await abortAfter(part * wholeMs, tenantId, { entities });
		expect(answeredMs).toBeLessThan(Math.max(1000, 0.3 * wholeMs));
	},
);

describe.runIf(engine === "server")(
	"a statement in flight is cancelled",
	() => {
		test("that waits for a row", async () => {
			const tenantId = "waits";
			await db.service.batchUpsert({
				tableName: "pages",
				tenantId,
				entities: pages(1200, "before"),
			});
			const blocker = new pg.Client({ connectionString: db.url });
			await blocker.connect();
			try {
				await blocker.query(
					"BEGIN; UPDATE pages SET count = 1 WHERE name = 'page 7'",
				);
				const controller = new AbortController();
				const writing = db.service.batchUpsert({
					tableName: "pages",
					tenantId,
					entities: pages(1200, "after"),
					signal: controller.signal,
				});
				writing.catch(() => {});
				await expect
					.poll(async () => {
						const { rows } = await blocker.query(
							"SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
						);
						return rows.length;
					})
					.toBe(1);
				controller.abort();
				// The row stays locked: without the cancellation this waits for ever.
				await expect(writing).rejects.toMatchObject({ code: "CANCELLED" });
				// And does not go on there.
				const { rows } = await blocker.query(
					"SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
				);
				expect(rows).toHaveLength(0);
			} finally {
				await blocker.end();
			}
			// The connections that were used are as good as before.
			await Promise.all(
				Array.from({ length: 12 }, () =>
					db.service.repository(Page).count({ tenantId }),
				),
			);
			const changed = await db.service
				.repository(Page)
				.count({ tenantId, content: { like: "%after%" } } as never);
			expect(changed).toBe(0);
		});
	},
);

import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { readiness } from "./items.ts";

const patienceMs = 60_000;

/** One statement on a connection of its own. */
export async function ask<R extends object>(
	url: string,
	text: string,
): Promise<R[]> {
	const client = new pg.Client({
		connectionString: url,
		connectionTimeoutMillis: 10_000,
		query_timeout: patienceMs,
	});
	client.on("error", () => {}); // the query fails too
	try {
		await client.connect();
		return (await client.query<R>(text)).rows;
	} finally {
		await client.end().catch(() => {});
	}
}

/** Asks until the column `done` is true. */
export async function until(url: string, question: string): Promise<void> {
	const lastTry = Date.now() + patienceMs;
	for (;;) {
		const [row] = await ask<{ done: boolean }>(url, question).catch(() => []);
		if (row?.done) return;
		if (Date.now() > lastTry) throw new Error(`never came true: ${question}`);
		await sleep(50);
	}
}

export async function untilReady(url: string): Promise<void> {
	await until(url, `SELECT ready AS done FROM (${readiness}) AS r`);
}

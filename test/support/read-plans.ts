import type { Database, Handle } from "../../src/db/database.ts";
import { compile, type Sql, type Statement } from "../../src/sql.ts";

/** What a statement read, as EXPLAIN (ANALYZE, BUFFERS) found it. */
export interface ReadPlan {
	readonly text: string;
	/** Pages of tables and indexes, each as often as it was looked at. */
	readonly blocks: number;
	readonly rows: number;
	/** Tables that were read from their beginning to their end. */
	readonly scanned: readonly string[];
}

interface PlanNode {
	readonly "Node Type": string;
	readonly "Relation Name"?: string;
	readonly "Actual Loops": number;
	readonly "Actual Rows": number;
	readonly "Shared Hit Blocks": number;
	readonly "Shared Read Blocks": number;
	readonly Plans?: readonly PlanNode[];
}

/**
 * Runs the work, and then each statement that the service sent for it once more,
 * with its plan and what it read. Statements that write are rolled back.
 */
export async function readPlans(
	service: { readonly core: { readonly db: Database } },
	work: () => Promise<unknown>,
): Promise<ReadPlan[]> {
	const { db } = service.core;
	const sent = await record(db, work);
	const plans: ReadPlan[] = [];
	for (const statement of sent) {
		if (!/^\s*(SELECT|WITH)\b/i.test(statement.text)) continue;
		plans.push(await explain(db, statement));
	}
	return plans;
}

async function record(
	db: Database,
	work: () => Promise<unknown>,
): Promise<Statement[]> {
	const sent: Statement[] = [];
	const own = db as { -readonly [K in keyof Database]: Database[K] };
	const query = db.query.bind(db);
	const transaction = db.transaction.bind(db);
	const record = (statement: Sql | Statement) =>
		sent.push("text" in statement ? statement : compile(statement));
	const recording = (handle: Handle): Handle => ({
		query: (statement, options) => {
			record(statement);
			return handle.query(statement, options);
		},
		script: (text) => handle.script(text),
		transaction: (inner, options) =>
			handle.transaction((tx) => inner(recording(tx)), options),
		vectorOid: () => handle.vectorOid(),
	});
	own.query = ((statement, options) => {
		record(statement);
		return query(statement, options);
	}) as Handle["query"];
	own.transaction = ((inner, options) =>
		transaction(
			(tx) => inner(recording(tx)),
			options,
		)) as Handle["transaction"];
	try {
		await work();
	} finally {
		own.query = query;
		own.transaction = transaction;
	}
	return sent;
}

class RolledBack extends Error {}

async function explain(
	db: Database,
	{ text, values }: Statement,
): Promise<ReadPlan> {
	let root: PlanNode | undefined;
	await db
		.transaction(async (tx) => {
			const { rows } = await tx.query<{ "QUERY PLAN": [{ Plan: PlanNode }] }>({
				text: `EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ${text}`,
				values,
			});
			root = rows[0]?.["QUERY PLAN"][0].Plan;
			throw new RolledBack();
		})
		.catch((error: unknown) => {
			if (!(error instanceof RolledBack)) throw error;
		});
	const plan = root as PlanNode;
	return {
		text,
		blocks: plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
		rows: plan["Actual Rows"],
		scanned: nodesOf(plan)
			.filter(
				(node) => node["Node Type"] === "Seq Scan" && node["Actual Loops"] > 0,
			)
			.map((node) => node["Relation Name"] ?? ""),
	};
}

function nodesOf(node: PlanNode): PlanNode[] {
	return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}

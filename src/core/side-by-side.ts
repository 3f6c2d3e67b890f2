import type { Handle } from "../db/database.ts";
import type { ServiceCore } from "./service-core.ts";

/** More would take the connections of other calls. */
const maxAtOnce = 8;

/**
 * Runs reads at the same time, each on a connection of its own; one after the
 * other inside a transaction and on the embedded database, which have one. All
 * have ended when it returns or throws what the first of them, in their order,
 * failed with.
 */
export async function sideBySide<T>(
	core: Pick<ServiceCore, "db">,
	transaction: Handle | undefined,
	reads: readonly (() => Promise<T>)[],
): Promise<T[]> {
	const { maxConnections } = core.db.capabilities;
	const atOnce = transaction === undefined ? maxConnections : 1;
	const results: PromiseSettledResult<T>[] = [];
	const waiting = reads.entries();
	const work = async () => {
		for (const [at, read] of waiting) {
			[results[at]] = await Promise.allSettled([read()]);
			if (results[at]?.status === "rejected") return;
		}
	};
	const workers = Math.min(atOnce, maxAtOnce, reads.length);
	await Promise.all(Array.from({ length: workers }, work));
	const failed = results.find((result) => result?.status === "rejected");
	if (failed?.status === "rejected") throw failed.reason;
	return results.flatMap((result) =>
		result.status === "fulfilled" ? [result.value] : [],
	);
}

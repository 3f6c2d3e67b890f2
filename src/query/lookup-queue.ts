import type { FoundKey, LookupRequest } from "./lookup.ts";

/** Sends one request: what a queue stands before. */
export type RunLookup = (request: LookupRequest) => Promise<FoundKey[]>;

interface Waiting {
	readonly keys: readonly string[];
	readonly resolve: (found: FoundKey[]) => void;
	readonly reject: (error: unknown) => void;
}

interface Batch {
	readonly request: LookupRequest;
	readonly waiting: Waiting[];
	keys: number;
}

// A statement much longer than this takes longer than two.
const maxKeys = 500;

/**
 * Makes one statement of the lookups that are issued in the same tick and ask
 * for the same kind of result of the same tenant and user: ten at once take the time of
 * little more than one. Requests are checked before they come here, so that
 * none can spoil another's.
 */
export class LookupQueue {
	readonly #run: RunLookup;
	readonly #batches = new Map<string, Batch>();
	#isScheduled = false;

	constructor(run: RunLookup) {
		this.#run = run;
	}

	lookup(request: LookupRequest): Promise<FoundKey[]> {
		const { entityKeys: keys } = request;
		if (keys.length > maxKeys) return this.#run(request);
		return new Promise((resolve, reject) => {
			const batch = this.#batchFor(request);
			batch.waiting.push({ keys, resolve, reject });
			batch.keys += keys.length;
		});
	}

	#batchFor(request: LookupRequest): Batch {
		const sort = sortOf(request);
		const open = this.#batches.get(sort);
		if (open !== undefined) {
			const isSame = open.request.hydrate === request.hydrate;
			if (isSame && open.keys + request.entityKeys.length <= maxKeys)
				return open;
			this.#send(open);
		}
		const batch: Batch = { request, waiting: [], keys: 0 };
		this.#batches.set(sort, batch);
		this.#schedule();
		return batch;
	}

	/** Behind everything that this tick still does, its settled promises included. */
	#schedule(): void {
		if (this.#isScheduled) return;
		this.#isScheduled = true;
		Promise.resolve().then(() => process.nextTick(() => this.#flush()));
	}

	#flush(): void {
		this.#isScheduled = false;
		const batches = [...this.#batches.values()];
		this.#batches.clear();
		for (const batch of batches) this.#send(batch);
	}

	#send({ request, waiting }: Batch): void {
		const isOne = waiting.length === 1;
		const all = isOne
			? request
			: { ...request, entityKeys: waiting.flatMap(({ keys }) => keys) };
		this.#run(all).then(
			(found) => answer(waiting, found),
			(error: unknown) => {
				for (const { reject } of waiting) reject(error);
			},
		);
	}
}

/** What must be equal for two requests to share a statement. No name has a NUL, and no user is "undefined" without its quotes. */
function sortOf({ tenantId, userId, entityType, hydrate }: LookupRequest) {
	const user = typeof userId === "string" ? `"${userId}` : userId;
	return `${tenantId}\0${user}\0${entityType}\0${hydrate !== undefined}`;
}

/** To each its own: what is found comes in the order of the keys. */
function answer(waiting: readonly Waiting[], found: FoundKey[]): void {
	if (waiting.length === 1) {
		waiting[0]?.resolve(found);
		return;
	}
	let firstKey = 0;
	let at = 0;
	for (const { keys, resolve } of waiting) {
		const own: FoundKey[] = [];
		for (; ; at++) {
			const next = found[at];
			if (next === undefined || next.keyIndex >= firstKey + keys.length) break;
			own.push({ ...next, keyIndex: next.keyIndex - firstKey });
		}
		resolve(own);
		firstKey += keys.length;
	}
}

// Timers and idle connections of this package never keep the process alive, so
// that work in the background does not. Calls do: Node would otherwise end,
// with code 13, while a caller waits for one that waits for a timer.

const longMs = 2 ** 30;

let alive: NodeJS.Timeout | undefined;
let calls = 0;

/** Keeps the process alive until the promise settles. */
export async function keepAlive<T>(work: PromiseLike<T>): Promise<T> {
	calls++;
	alive ??= setInterval(() => {}, longMs);
	alive.ref();
	try {
		return await work;
	} finally {
		calls--;
		if (calls === 0) alive.unref();
	}
}

/**
 * Each method of the class that returns a promise keeps the process alive until
 * it settles, and each that returns an async iterator while a caller waits for
 * the next item. All methods of the prototype, so that a new one is included.
 */
export function keepAliveDuringCalls(prototype: object): void {
	const methods = Object.entries(Object.getOwnPropertyDescriptors(prototype));
	for (const [name, { value: work }] of methods) {
		if (name === "constructor" || typeof work !== "function") continue;
		Object.defineProperty(prototype, name, {
			configurable: true,
			writable: true,
			value(this: object, ...given: unknown[]) {
				return whileWaitedFor(work.apply(this, given));
			},
		});
	}
}

/** The same for a single function. */
function whileWaitedFor<T>(result: T): T {
	if (result instanceof Promise) return keepAlive(result) as T;
	if (!isAsyncIterator(result)) return result;
	const next = result.next.bind(result);
	return Object.assign(result, {
		next: (...given: [] | [unknown]) => keepAlive(next(...given)),
	});
}

function isAsyncIterator(result: unknown): result is AsyncIterator<unknown> {
	return (
		typeof result === "object" &&
		result !== null &&
		Symbol.asyncIterator in result &&
		"next" in result
	);
}

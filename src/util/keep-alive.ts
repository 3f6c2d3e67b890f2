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

/** An iterator that keeps the process alive while a caller waits for its next item. */
export function keepAliveDuring<T>(
	items: AsyncGenerator<T>,
): AsyncGenerator<T> {
	const next = items.next.bind(items);
	return Object.assign(items, {
		next: (...given: [] | [unknown]) => keepAlive(next(...given)),
	});
}

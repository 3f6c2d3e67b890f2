import type pg from "pg";

type Send = (...given: unknown[]) => unknown;

/**
 * Lets a client that does not pipeline send a statement only when the one before
 * it is answered. The driver's own queue is deprecated, and goes with its next
 * major version; a client that pipelines may be busy.
 */
export function takeTurns(client: pg.ClientBase): void {
	const one = client as unknown as { query: Send; pipeline?: boolean };
	if (one.pipeline === true) return;
	const send = one.query.bind(client);
	let last: Promise<unknown> = Promise.resolve();
	let waiting = 0;
	one.query = (...given) => {
		waiting++;
		const turn =
			waiting === 1
				? (send(...given) as Promise<unknown>)
				: last.then(() => send(...given));
		last = turn
			.catch(() => {
				// Whoever sent it is informed.
			})
			.finally(() => {
				waiting--;
			});
		return turn;
	};
}

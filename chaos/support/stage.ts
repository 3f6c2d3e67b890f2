import { setTimeout as sleep } from "node:timers/promises";
import { isExpected } from "./expected-errors.ts";
import { within } from "./within.ts";

interface Actor {
	readonly name: string;
	/** Of the step it is in; `undefined` between two. */
	stepSince: number | undefined;
}

// A crash, its recovery and the library's own retries fit into it several times.
const longestStepMs = 120_000;

/** Actors that go on until the run is over, whatever breaks under them. */
export class Stage {
	readonly #actors: Actor[] = [];
	readonly #ends: Promise<void>[] = [];
	#isOver = false;
	#failure: unknown;

	/** Repeats a step; what crashes of a server cause is waited out, anything else ends the run. */
	act(name: string, step: () => Promise<unknown>, pauseMs = 0): void {
		const actor: Actor = { name, stepSince: undefined };
		this.#actors.push(actor);
		this.#ends.push(this.#goOn(actor, step, pauseMs));
	}

	/** Throws what ended the run early, or names who is stuck. */
	check(): void {
		if (this.#failure !== undefined) throw this.#failure;
		const stuck = this.#busyFor(longestStepMs);
		if (stuck.length > 0)
			throw new Error(
				`in one step for over ${longestStepMs / 1000} s: ${stuck.join(", ")}`,
			);
	}

	/** Ends all of it; throws as {@link check} does. */
	async finish(): Promise<void> {
		this.#isOver = true;
		await within(
			longestStepMs,
			() => `the load does not end: ${this.#busyFor(0).join(", ")}`,
			Promise.all(this.#ends),
		);
		this.check();
	}

	#busyFor(ms: number): string[] {
		const now = performance.now();
		return this.#actors.flatMap(({ name, stepSince }) =>
			stepSince !== undefined && now - stepSince >= ms ? name : [],
		);
	}

	async #goOn(
		actor: Actor,
		step: () => Promise<unknown>,
		pauseMs: number,
	): Promise<void> {
		while (!this.#isOver) {
			try {
				actor.stepSince = performance.now();
				await step();
				actor.stepSince = undefined;
				// At least a turn of the event loop: a step may find nothing to do.
				await sleep(pauseMs);
			} catch (error) {
				actor.stepSince = undefined;
				if (!isExpected(error)) {
					this.#failure ??= error;
					this.#isOver = true;
					return;
				}
				await sleep(20);
			}
		}
	}
}

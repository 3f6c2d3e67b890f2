import { asRemError, reading } from "../../errors.ts";
import { type MethodArguments, takeArguments } from "./argument.ts";

type Work = (this: object, ...given: unknown[]) => unknown;

/**
 * Makes each of these methods check its arguments before anything else: what it
 * gets then is of the right types, and has no option that it does not know. What
 * the caller's values throw later, while they are used, is a `RemError` as well.
 */
export function guard(
	prototype: object,
	methods: Readonly<Record<string, MethodArguments>>,
): void {
	for (const [name, method] of Object.entries(methods)) {
		const work = Reflect.get(prototype, name) as Work;
		Object.defineProperty(prototype, name, {
			configurable: true,
			writable: true,
			value: guarded(name, method, work),
		});
	}
}

const guarded = (name: string, method: MethodArguments, work: Work): Work => {
	switch (method.kind) {
		case "sync":
			return function (...given) {
				const taken = takeArguments(name, method, given);
				return reading(name, () => work.apply(this, taken));
			};
		case "async":
			return async function (...given) {
				const taken = takeArguments(name, method, given);
				if (method.runsWork === true) return work.apply(this, taken);
				try {
					return await work.apply(this, taken);
				} catch (error) {
					throw asRemError(error, name);
				}
			};
		case "iterator":
			return async function* (...given) {
				const taken = takeArguments(name, method, given);
				try {
					yield* work.apply(this, taken) as AsyncIterable<unknown>;
				} catch (error) {
					throw asRemError(error, name);
				}
			};
	}
};

import { type MethodArguments, takeArguments } from "../../calls/arguments.ts";

type Work = (this: object, ...given: unknown[]) => unknown;

/**
 * Makes each of these methods check its arguments before anything else: what it
 * gets then is of the right types, and has no option that it does not know.
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
				return work.apply(this, takeArguments(name, method, given));
			};
		case "async":
			return function (...given) {
				let taken: unknown[];
				try {
					taken = takeArguments(name, method, given);
				} catch (error) {
					return Promise.reject(error);
				}
				return work.apply(this, taken);
			};
		case "iterator":
			return async function* (...given) {
				const taken = takeArguments(name, method, given);
				yield* work.apply(this, taken) as AsyncIterable<unknown>;
			};
	}
};

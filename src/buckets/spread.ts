import {
	definePublic,
	type MethodNames,
	publicClasses,
	publicMethod,
	type Work,
} from "../calls/public-methods.ts";

/** A method over all buckets for each method of a class: a method that is added to the class does not compile without one. */
export type Spread<C> = { readonly [Name in MethodNames<C>]: C[Name] };

/** An object of the class with these methods; public ones check their arguments as those of the class do. */
export function spread<C extends object>(
	type: { readonly name: string; readonly prototype: C },
	methods: Spread<C>,
): C {
	const known = publicClasses().find((one) => one.type === type)?.methods ?? {};
	const object: C = Object.create(type.prototype);
	for (const [name, work] of Object.entries<Work>(
		methods as Readonly<Record<string, Work>>,
	)) {
		const method = known[name];
		definePublic(
			object,
			name,
			method === undefined ? work : publicMethod(name, method, work),
		);
	}
	return object;
}

import {
	definePublic,
	type MethodNames,
	publicClasses,
	publicMethod,
	type Work,
} from "../calls/public-methods.ts";

/** What each method of a class does where there are buckets: one that is added has to state it. */
export type Spread<C> = { readonly [Name in MethodNames<C>]: C[Name] };

/** An object of the class whose methods are these; public ones check their arguments as the class's own. */
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

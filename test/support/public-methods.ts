import {
	type PublicMethod,
	publicClasses,
} from "../../src/calls/public-methods.ts";
import "../../src/index.ts";
import { rowsVerbs } from "../../src/verbs/repository/verbs.ts";
import { verbs } from "../../src/verbs/verbs.ts";

type Methods = Readonly<Record<string, PublicMethod>>;

const ofVerbs = (
	all: readonly { readonly name: string; readonly method: PublicMethod }[],
): Methods => Object.fromEntries(all.map(({ name, method }) => [name, method]));

const ofClasses: Readonly<Record<string, Methods>> = Object.fromEntries(
	publicClasses().map(({ type, methods }) => [type.name, methods]),
);

/** Every public method by its class: what it takes. */
export const publicMethods: Readonly<Record<string, Methods>> = {
	...ofClasses,
	PostgresService: { ...ofVerbs(verbs), ...ofClasses.PostgresService },
	Repository: ofVerbs(rowsVerbs),
};

/** By class, methods that only this package calls. */
export const internalMethods: Readonly<Record<string, readonly string[]>> =
	Object.fromEntries(
		publicClasses().map(({ type, internal }) => [type.name, internal]),
	);

/** The names of an object's methods, inherited ones included. */
export function methodNames(prototype: object): string[] {
	const above = Object.getPrototypeOf(prototype);
	const own = Object.entries(Object.getOwnPropertyDescriptors(prototype))
		.filter(([, { value }]) => typeof value === "function")
		.map(([name]) => name)
		.filter((name) => name !== "constructor");
	return above === null || above === Object.prototype
		? own
		: [...own, ...methodNames(above)];
}

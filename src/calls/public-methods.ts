import type { Attributes } from "@opentelemetry/api";
import { asRemError, reading } from "../errors.ts";
import { tracer } from "../telemetry/api.ts";
import { databaseAttributes, span } from "../telemetry/span.ts";
import { keepAlive, keepAliveDuring } from "../util/keep-alive.ts";
import {
	type Argument,
	type MethodArguments,
	takeArguments,
} from "./arguments.ts";

/** How the calls of a method become spans of OpenTelemetry. */
export interface MethodSpan {
	/** The span's name and its `db.operation.name`. */
	readonly operation: string;
	/** The table that the call is about, if there is one of that name. */
	table?(self: object, options: unknown): string | undefined;
	/** Names and counts of the result, as attributes. */
	found?(result: unknown): Attributes;
}

/** A method that users call: what it takes, and the span of its calls. */
export interface PublicMethod extends MethodArguments {
	readonly span?: MethodSpan;
	/** May refuse the arguments before they are checked one by one. */
	before?(self: object, given: readonly unknown[]): void;
}

export function async(...parameters: readonly Argument[]): PublicMethod {
	return { kind: "async", parameters };
}

export function sync(...parameters: readonly Argument[]): PublicMethod {
	return { kind: "sync", parameters };
}

export function iterator(...parameters: readonly Argument[]): PublicMethod {
	return { kind: "iterator", parameters };
}

/** The method with a span for each of its calls. */
export function traced(method: PublicMethod, span: MethodSpan): PublicMethod {
	return { ...method, span };
}

export type Work = (this: never, ...given: never[]) => unknown;
type AnyWork = (this: object, ...given: unknown[]) => unknown;

/**
 * The function that users call. Before the work its arguments are checked, so
 * that the work gets values of the right types and no option that it does not
 * know; what the caller's values throw later, while they are used, is a
 * `RemError` as well. A call has a span where OpenTelemetry listens, also one that is refused,
 * and keeps the process alive until it ends.
 */
export function publicMethod(
	name: string,
	method: PublicMethod,
	given: Work,
): AnyWork {
	const work = (self: object, taken: readonly unknown[]) =>
		Reflect.apply(given, self, taken);
	const { span, before } = method;
	const take = (self: object, values: readonly unknown[]) =>
		takeArguments(name, method, {
			given: values,
			before: before && (() => before(self, values)),
		});
	const run = async (self: object, values: readonly unknown[]) => {
		const taken = take(self, values);
		if (method.runsWork === true) return work(self, taken);
		try {
			return await work(self, taken);
		} catch (error) {
			throw asRemError(error, name);
		}
	};
	switch (method.kind) {
		case "sync":
			return function (...values) {
				const taken = take(this, values);
				return reading(name, () => work(this, taken));
			};
		case "async":
			return function (...values) {
				return keepAlive(
					span === undefined || tracer() === undefined
						? run(this, values)
						: inSpan(span, span.table?.(this, values[0]), () =>
								run(this, values),
							),
				);
			};
		case "iterator":
			return function (...values) {
				return keepAliveDuring(checkedFirst(this, values));
			};
	}

	async function* checkedFirst(self: object, values: readonly unknown[]) {
		const taken = take(self, values);
		try {
			yield* work(self, taken);
		} catch (error) {
			throw asRemError(error, name);
		}
	}
}

function inSpan(
	{ operation, found }: MethodSpan,
	table: string | undefined,
	work: () => Promise<unknown>,
): Promise<unknown> {
	return span(
		table === undefined ? operation : `${operation} ${table}`,
		{
			attributes: databaseAttributes(operation, table),
			found,
		},
		work,
	);
}

/** The names of a class's methods. */
export type MethodNames<C> = {
	[Name in keyof C]: C[Name] extends (...given: never[]) => unknown
		? Name
		: never;
}[keyof C] &
	string;

/** Public methods of a class, by name, and its internal ones. */
export interface ClassMethods {
	readonly type: { readonly name: string; readonly prototype: object };
	readonly methods: Readonly<Record<string, PublicMethod>>;
	readonly internal: readonly string[];
}

const classes: ClassMethods[] = [];

/**
 * Makes the class's methods public ones. A method without an entry does not
 * compile, unless it is among those that only this package calls.
 */
export function publicMethods<C extends object>() {
	return <Internal extends MethodNames<C> = never>(
		type: { readonly name: string; readonly prototype: object },
		methods: Readonly<Record<Exclude<MethodNames<C>, Internal>, PublicMethod>>,
		internal: readonly Internal[] = [],
	): void => {
		const { prototype } = type;
		for (const [name, method] of Object.entries<PublicMethod>(methods))
			definePublic(
				prototype,
				name,
				publicMethod(name, method, Reflect.get(prototype, name)),
			);
		classes.push({ type, methods, internal });
	};
}

export function definePublic(
	prototype: object,
	name: string,
	value: (...given: never[]) => unknown,
): void {
	Object.defineProperty(prototype, name, {
		configurable: true,
		writable: true,
		value,
	});
}

/** Every class that has public methods. */
export function publicClasses(): readonly ClassMethods[] {
	return classes;
}

/** `db.response.returned_rows` */
export function rowsReturned(count: number): Attributes {
	return { "db.response.returned_rows": count };
}

export function rows(found: readonly unknown[]): Attributes {
	return rowsReturned(found.length);
}

export function oneOrRows(found: unknown): Attributes {
	if (Array.isArray(found)) return rows(found);
	return rowsReturned(found === undefined ? 0 : 1);
}

/** `remdb.inserted` of the result's `inserted`. */
export function counts<Name extends string>(...names: readonly Name[]) {
	return (result: Readonly<Record<Name, number>>): Attributes =>
		Object.fromEntries(names.map((name) => [`remdb.${name}`, result[name]]));
}

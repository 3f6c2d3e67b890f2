import { RemError, reading } from "../errors.ts";
import type { Check } from "../models/checks.ts";
import { holesProblem } from "../models/limits.ts";
import {
	describeProblem,
	type OptionChecks,
	type OptionTable,
	optionTable,
	takeOptions,
} from "../models/options.ts";

/** One parameter of a public method. */
export interface Argument {
	readonly name: string;
	readonly isOptional: boolean;
	/** Of an object of options: what there is. */
	readonly table?: OptionTable;
	/** The value as the method gets it; throws `VALIDATION`. `call` is the method's name. */
	take(value: unknown, call: string): unknown;
}

/** How a public method is called, and how it reports what is wrong with a call. */
export interface MethodArguments {
	/** `sync` throws, `async` returns a rejected promise, `iterator` throws at the first row. */
	readonly kind: "sync" | "async" | "iterator";
	readonly parameters: readonly Argument[];
	/** It runs a function whose errors are the caller's own. @default false */
	readonly runsWork?: true;
}

export function argument(name: string, check: Check): Argument {
	return { name, isOptional: false, take: taker(name, check) };
}

export function optional(name: string, check: Check): Argument {
	const take = taker(name, check);
	return {
		name,
		isOptional: true,
		take: (value) => (value === undefined ? undefined : take(value)),
	};
}

function taker(name: string, check: Check) {
	return (value: unknown): unknown => {
		const problem = holesProblem(value) ?? check(value);
		if (problem !== undefined)
			throw new RemError("VALIDATION", describeProblem(name, problem));
		return value;
	};
}

/** An object of options that the call cannot do without. */
export function options<T>(checks: OptionChecks<T>): Argument {
	return optionsOf(optionTable(checks));
}

function optionsOf(table: OptionTable): Argument {
	return {
		name: "options",
		isOptional: false,
		table,
		take: (value, call) => takeOptions(value, table, call),
	};
}

/** An object of options that may be left out. */
export function optionalOptions<T>(checks: OptionChecks<T>): Argument {
	return optionalOptionsOf(optionTable(checks));
}

/** The same, of a table that others use as well. */
export function optionalOptionsOf(table: OptionTable): Argument {
	const required = optionsOf(table);
	return {
		...required,
		isOptional: true,
		take: (value, call) =>
			value === undefined ? undefined : required.take(value, call),
	};
}

interface GivenArguments {
	readonly given: readonly unknown[];
	/** May refuse them before each is checked. */
	readonly before?: (() => void) | undefined;
}

/** The arguments as the method gets them: checked, options as plain objects. */
export function takeArguments(
	call: string,
	{ parameters }: MethodArguments,
	{ given, before }: GivenArguments,
): unknown[] {
	return reading(call, () => {
		before?.();
		for (let at = parameters.length; at < given.length; at++)
			if (given[at] !== undefined) throw tooMany(call, parameters);
		return parameters.map(({ take }, at) => take(given[at], call));
	});
}

function tooMany(call: string, parameters: readonly Argument[]): RemError {
	const names = parameters.map(({ name }) => name).join(", ");
	return new RemError(
		"VALIDATION",
		parameters.length === 0
			? `${call} takes no arguments`
			: `${call} takes no argument behind ${parameters.at(-1)?.name}`,
		{ hint: `call it as ${call}(${names})` },
	);
}

import { RemError } from "../errors.ts";
import { quoted, suggest } from "../util/suggest.ts";
import { type Check, isRecord, typeName } from "./checks.ts";

/** A check of an option that a call cannot do without. */
export interface RequiredCheck {
	readonly required: Check;
}

/** One entry for each option: a new option without one does not compile. */
export type OptionChecks<T> = {
	readonly [Name in keyof T]-?: Check | RequiredCheck;
};

/** Of an option that a call cannot do without. */
export function required(check: Check): RequiredCheck {
	return { required: check };
}

/** A call's options as a table: what is read, how it is checked, what else is refused. */
export interface OptionTable<T = unknown> {
	/** Of which options it is; a type only. */
	readonly of?: T;
	readonly names: readonly string[];
	readonly known: ReadonlySet<string>;
	readonly entries: readonly OptionEntry[];
}

interface OptionEntry {
	readonly name: string;
	readonly check: Check;
	readonly isRequired: boolean;
}

export function optionTable<T>(checks: OptionChecks<T>): OptionTable<T> {
	const entries = Object.entries<Check | RequiredCheck>(checks).map(
		([name, check]): OptionEntry =>
			typeof check === "function"
				? { name, check, isRequired: false }
				: { name, check: check.required, isRequired: true },
	);
	const names = entries.map(({ name }) => name);
	return { names, known: new Set(names), entries };
}

/**
 * The options as a plain object of known options with checked values. Each is
 * read once, so that no getter can answer the check and the work differently.
 * Throws `VALIDATION`, of an unknown option with the nearest known one.
 */
export function takeOptions<T>(
	given: unknown,
	{ names, known, entries }: OptionTable<T>,
	call: string,
): T {
	if (!isRecord(given))
		throw new RemError(
			"VALIDATION",
			`the options of ${call} must be an object, not ${typeName(given)}`,
			{ hint: `options: ${names.join(", ")}` },
		);
	for (const name of Object.keys(given))
		if (!known.has(name)) throw unknownOption(name, names, call);
	const taken: Record<string, unknown> = {};
	// By index, without an object for each step: every lookup comes by.
	for (let at = 0; at < entries.length; at++) {
		const { name, check, isRequired } = entries[at] as OptionEntry;
		const value = given[name];
		if (value === undefined) {
			if (isRequired) throw new RemError("VALIDATION", `${call} needs ${name}`);
			continue;
		}
		const problem = check(value);
		if (problem !== undefined)
			throw new RemError("VALIDATION", describeProblem(name, problem));
		taken[name] = value;
	}
	return taken as T;
}

/** `limit must be a number`, `ids[2] must be a string` */
export function describeProblem(name: string, problem: string): string {
	return /^[[.]/.test(problem) ? name + problem : `${name} ${problem}`;
}

export function unknownOption(
	name: string,
	known: readonly string[],
	call: string,
): RemError {
	const hint = suggest(name, known);
	return new RemError(
		"VALIDATION",
		`unknown option ${quoted(name)} of ${call}`,
		hint === undefined ? {} : { hint },
	);
}

import { isRemError, RemError } from "../errors.ts";
import { quoted, suggest } from "../util/suggest.ts";
import { type Check, callback, isRecord, typeName } from "./checks.ts";
import { holesProblem } from "./limits.ts";

/** A check of an option that a call cannot do without. */
interface RequiredCheck {
	readonly required: Check;
}

/** A check of an option that the call gets in another form. */
interface ConvertedCheck {
	readonly check: Check;
	convert(value: unknown): unknown;
}

/** A check of an option without which the call concerns more rows. */
interface NarrowingCheck {
	readonly check: Check;
	/** What to do where it is given as `undefined`. */
	readonly undefinedHint: string;
}

type AnyCheck = Check | RequiredCheck | ConvertedCheck | NarrowingCheck;

/** One entry for each option: a new option without one does not compile. */
export type OptionChecks<T> = {
	readonly [Name in keyof T]-?: AnyCheck;
};

/** Of an option that a call cannot do without. */
export function required(check: Check): RequiredCheck {
	return { required: check };
}

/**
 * Of an option that narrows the call. Leaving it out is a decision; `undefined`, as
 * of `request.user?.id`, is a value that is missing, and is refused.
 */
export function narrowing(check: Check, undefinedHint: string): NarrowingCheck {
	return { check, undefinedHint };
}

/** A call's options as a table: what is read, how it is checked; any other option is refused. */
export interface OptionTable<T = unknown> {
	/** Of which options it is; a type only. */
	readonly of?: T;
	readonly names: readonly string[];
	/** Those that messages name: not what only this package passes. */
	readonly listed: readonly string[];
	readonly known: ReadonlySet<unknown>;
	readonly entries: readonly OptionEntry[];
}

interface OptionEntry {
	readonly name: string;
	readonly check: Check;
	readonly isRequired: boolean;
	readonly convert: ((value: unknown) => unknown) | undefined;
	readonly undefinedHint: string | undefined;
}

export function optionTable<T>(
	checks: OptionChecks<T>,
	unlisted: readonly (keyof T & string)[] = [],
): OptionTable<T> {
	const entries = Object.entries<AnyCheck>(checks).map(([name, check]) => {
		const entry: Omit<OptionEntry, "check"> = {
			name,
			isRequired: false,
			convert: undefined,
			undefinedHint: undefined,
		};
		if (typeof check === "function") return { ...entry, check };
		return "required" in check
			? { ...entry, check: check.required, isRequired: true }
			: { ...entry, ...check };
	});
	const names = entries.map(({ name }) => name);
	const internal: readonly string[] = unlisted;
	const listed = names.filter((name) => !internal.includes(name));
	return { names, listed, known: new Set(names), entries };
}

/**
 * The options as a plain object of known options with checked values. Each is
 * read once, so that no getter can answer the check and the work differently.
 * Throws `VALIDATION`, of an unknown option with the nearest known one.
 */
export function takeOptions<T>(
	given: unknown,
	{ listed, known, entries }: OptionTable<T>,
	call: string,
): T {
	if (!isRecord(given))
		throw new RemError(
			"VALIDATION",
			`the options of ${call} must be an object, not ${typeName(given)}`,
			{ hint: `options: ${listed.join(", ")}` },
		);
	for (const name of namesIn(given))
		if (!known.has(name)) throw unknownOption(name, listed, call);
	const taken: Record<string, unknown> = {};
	for (const { name, check, isRequired, convert, undefinedHint } of entries) {
		const value = given[name];
		if (value === undefined) {
			if (isRequired) throw new RemError("VALIDATION", `${call} needs ${name}`);
			if (undefinedHint !== undefined)
				refuseUndefined(given, name, { call, hint: undefinedHint });
			continue;
		}
		const problem = holesProblem(value) ?? check(value);
		if (problem !== undefined)
			throw new RemError("VALIDATION", describeProblem(name, problem));
		taken[name] = convert === undefined ? value : convert(value);
	}
	return taken as T;
}

/** Throws `VALIDATION` for an option that is given, as `undefined`. */
export function refuseUndefined<T extends object>(
	given: T,
	name: keyof T & string,
	{ call, hint }: { readonly call: string; readonly hint: string },
): void {
	if (name in given && given[name] === undefined)
		throw new RemError("VALIDATION", `${name} of ${call} is undefined`, {
			hint,
		});
}

/** The names of all that the object can be asked for, symbols and what it inherits included. */
export function namesIn(given: object): readonly (string | symbol)[] {
	const names = Reflect.ownKeys(given);
	const prototype = Object.getPrototypeOf(given);
	if (prototype === Object.prototype || prototype === null) return names;
	for (const name in given) names.push(name);
	return names;
}

/**
 * A function that a call reports its progress to. One that throws stops the
 * call, and so does one whose promise is rejected, at the next report.
 */
export const progressCallback: ConvertedCheck = {
	check: callback,
	convert: (onProgress: (progress: unknown) => unknown) => {
		let failure: { readonly cause: unknown } | undefined;
		return (progress: unknown): void => {
			if (failure !== undefined) throw stoppedBy(failure.cause);
			try {
				const result = onProgress(progress);
				if (result instanceof Promise)
					result.catch((cause: unknown) => {
						failure = { cause };
					});
			} catch (cause) {
				throw stoppedBy(cause);
			}
		};
	},
};

function stoppedBy(cause: unknown): RemError {
	if (isRemError(cause)) return cause;
	return new RemError(
		"CANCELLED",
		"onProgress threw an error: the call was stopped",
		{
			hint: "what was done before remains; the cause is what onProgress threw",
			cause,
		},
	);
}

/** An object of these parts only: the nearest known one is named for another. */
export function withParts(
	parts: Readonly<Record<string, Check>>,
	requiredParts: readonly string[] = [],
): Check {
	const known = Object.keys(parts);
	return (value) => {
		if (!isRecord(value)) return `must be an object, not ${typeName(value)}`;
		for (const name of namesIn(value))
			if (typeof name === "symbol" || !Object.hasOwn(parts, name))
				return `has an unknown option ${quoted(name)}, ${suggest(String(name), known)}`;
		for (const [name, check] of Object.entries(parts)) {
			const part = value[name];
			const isLeftOut = part === undefined && !requiredParts.includes(name);
			const problem = isLeftOut ? undefined : check(part);
			if (problem !== undefined) return `.${describeProblem(name, problem)}`;
		}
		return undefined;
	};
}

/** `limit must be a number`, `ids[2] must be a string` */
export function describeProblem(name: string, problem: string): string {
	return /^[[.]/.test(problem) ? name + problem : `${name} ${problem}`;
}

function unknownOption(
	name: string | symbol,
	known: readonly string[],
	call: string,
): RemError {
	const hint = suggest(String(name), known);
	return new RemError(
		"VALIDATION",
		`unknown option ${quoted(name)} of ${call}`,
		hint === undefined ? {} : { hint },
	);
}

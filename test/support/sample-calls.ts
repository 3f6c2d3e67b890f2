import type { GrowthCall } from "../../bench/support/grown-row.ts";
import type { Verbs } from "../../src/verbs/verbs.ts";
import type { ScopeModels } from "./scope-models.ts";

/** How a public verb is called: by the tests that try every verb, and by the benchmark of growth. */
export interface VerbSample<Target> {
	/** The arguments of a call that does what the verb is for. */
	readonly given: (rows: SampleRows) => readonly unknown[];
	/** Those of a call that changes no row and asks no provider, where `given` would. */
	readonly withoutEffect?: (rows: SampleRows) => readonly unknown[];
	/** Calls among many rows, which `npm run growth` measures. */
	readonly growth: readonly [GrowthCall<Target>, ...GrowthCall<Target>[]];
	/** Of a verb that finds rows: calls whose rows must be the tenant's and the user's. */
	readonly reads?: readonly ScopedRead[];
}

/** Which rows the calls are about: those that `batchUpsert`, the first of them, writes. */
export interface SampleRows {
	/** A table whose key is `name`, with a field `content` that is embedded. */
	readonly tableName: string;
	readonly tenantId: string;
	/** The id of the row named "one". */
	readonly id: string;
}

/**
 * Finds the rows of a scope. In `notes` each tenant and user has a row named "note" with
 * the content "the same words", whose edge `of` leads to "hub", a row of each tenant.
 */
interface ScopedRead {
	readonly variant?: string;
	/** Which of the scope's rows it returns. @default "all" */
	readonly returns?: "all" | "one" | "reachable";
	/** `scope` is what the call names, nothing in a bound scope. */
	readonly call: (
		verbs: Verbs<ScopeModels>,
		scope: RowScope,
		rows: OwnedRows,
	) => Promise<FoundRows>;
}

interface RowScope {
	readonly tenantId?: string;
	readonly userId?: string | null;
}

/** Their `metadata` names the owner. */
export type FoundRows = readonly { readonly metadata: unknown }[];

/** Whose rows there are: each one's id, and the owner by id. */
interface OwnedRows {
	readonly ids: ReadonlyMap<string, string>;
	readonly ownersById: ReadonlyMap<string, string>;
}

/** The arguments of a verb. */
export interface VerbArguments {
	readonly given: readonly unknown[];
	readonly withoutEffect?: readonly unknown[];
}

export function argumentsOf<Name extends string>(
	calls: Readonly<
		Record<Name, Pick<VerbSample<never>, "given" | "withoutEffect">>
	>,
	rows: SampleRows,
): Readonly<Record<Name, VerbArguments>> {
	const all = Object.entries<(typeof calls)[Name]>(calls).map(
		([name, { given, withoutEffect }]) => [
			name,
			{
				given: given(rows),
				...(withoutEffect && { withoutEffect: withoutEffect(rows) }),
			},
		],
	);
	return Object.fromEntries(all);
}

/** Each with the verb's name, and its variant behind a comma. */
export function byVariant<One extends { readonly variant?: string }>(
	name: string,
	all: readonly One[],
): (readonly [string, One])[] {
	return all.map((one) => [
		one.variant === undefined ? name : `${name}, ${one.variant}`,
		one,
	]);
}

/** A call of each, by the verb's name; an iterator is read to its end. */
export function sampleCalls(
	target: () => object,
	samples: Readonly<Record<string, VerbArguments>>,
): Record<string, () => Promise<unknown>> {
	return Object.fromEntries(
		Object.entries(samples).map(([name, { given }]) => [
			name,
			() => invoke(target(), name, given),
		]),
	);
}

export function invoke(
	target: object,
	name: string,
	given: readonly unknown[],
): Promise<unknown> {
	return settled(() => Reflect.apply(Reflect.get(target, name), target, given));
}

/** The result, with every row of an iterator; what is thrown at once is a rejection. */
export async function settled(call: () => unknown): Promise<unknown> {
	const result = await call();
	if (typeof result !== "object" || result === null) return result;
	if (!(Symbol.asyncIterator in result)) return result;
	const rows: unknown[] = [];
	for await (const row of result as AsyncIterable<unknown>) rows.push(row);
	return rows;
}

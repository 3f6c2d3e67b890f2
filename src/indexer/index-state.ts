import type { Handle } from "../db/database.ts";
import type { RemError } from "../errors.ts";
import type { DeclaredIndex } from "../schema/declared-index.ts";
import { ident, toText } from "../sql.ts";
import {
	type LiveIndex,
	readLiveIndexes,
	spellDefinitions,
} from "./live-indexes.ts";

/** How an index that should be there stands in the database. */
type IndexState = "valid" | "missing" | "invalid" | "changed";

export interface ComparedIndex {
	readonly declared: DeclaredIndex;
	readonly live: LiveIndex | undefined;
	readonly state: IndexState;
}

/** Compares what should be there with what is, and hands back the rest of the tables' indexes as well. */
export async function compareIndexes(
	db: Handle,
	schema: string,
	declared: readonly DeclaredIndex[],
): Promise<{ compared: ComparedIndex[]; others: LiveIndex[] }> {
	const live = await readLiveIndexes(
		db,
		schema,
		declared.map(({ tableName }) => tableName),
	);
	const liveOf = ({ name }: DeclaredIndex) =>
		live.find((index) => index.name === name);
	const changed = await changedIndexes(
		db,
		schema,
		declared.flatMap((index) => {
			const found = liveOf(index);
			return found?.isValid ? { declared: index, live: found } : [];
		}),
	);
	const names = new Set(declared.map(({ name }) => name));
	return {
		compared: declared.map((index) => {
			const found = liveOf(index);
			return {
				declared: index,
				live: found,
				state: stateOf(found, changed.has(index.name)),
			};
		}),
		others: live.filter(({ name }) => !names.has(name)),
	};
}

function stateOf(live: LiveIndex | undefined, hasChanged: boolean): IndexState {
	if (live === undefined) return "missing";
	if (!live.isValid) return "invalid";
	return hasChanged ? "changed" : "valid";
}

interface Pair {
	readonly declared: DeclaredIndex;
	readonly live: LiveIndex;
}

/** Those whose definition differs. Only where the texts look different, PostgreSQL is asked to spell ours. */
async function changedIndexes(
	db: Handle,
	schema: string,
	pairs: readonly Pair[],
): Promise<Set<string>> {
	const doubtful = pairs.filter((pair) => !looksTheSame(schema, pair));
	const changed = new Set<string>();
	for (const tableName of new Set(
		doubtful.map(({ declared }) => declared.tableName),
	)) {
		const here = doubtful.filter(
			({ declared }) => declared.tableName === tableName,
		);
		const spelt = await spellDefinitions(
			db,
			schema,
			tableName,
			here.map(({ declared }) => toText(declared.definition)),
		).catch(onReadOnly);
		here.forEach(({ declared, live }, at) => {
			const isSame =
				live.definition === spelt?.[at] &&
				live.isUnique === declared.isUnique &&
				live.tableName === declared.tableName;
			if (!isSame) changed.add(declared.name);
		});
	}
	return changed;
}

const readOnlyTransaction = "25006";

/** A standby makes no table to spell with: there, what looks different counts as different. */
function onReadOnly(error: unknown): undefined {
	if ((error as RemError).sqlState !== readOnlyTransaction) throw error;
}

function looksTheSame(schema: string, { declared, live }: Pair): boolean {
	return (
		live.isUnique === declared.isUnique &&
		live.tableName === declared.tableName &&
		loose(schema, live.definition) ===
			loose(schema, toText(declared.definition))
	);
}

/** Without what PostgreSQL adds when it writes a definition down. */
function loose(schema: string, definition: string): string {
	return definition
		.replaceAll(`${toText(ident(schema))}.`, "")
		.replaceAll(`${schema}.`, "")
		.replace(/^USING btree /, "")
		.replace(/::(text|regconfig)\b/g, "")
		.replaceAll("COALESCE", "coalesce")
		.replace(/\bE(?=')/g, "")
		.replaceAll("\\\\", "\\")
		.replace(/[\s()'"]/g, "");
}

import {
	canonicalDefinitions,
	readIndexes,
	type StoredIndex,
} from "../db/catalogue/indexes.ts";
import type { Handle } from "../db/database.ts";
import { RemError } from "../errors.ts";
import type { DeclaredIndex } from "../schema/index-types.ts";
import { ident, toText } from "../sql.ts";

/** How a declared index compares with the one in the database. */
type IndexState = "valid" | "missing" | "invalid" | "changed";

export interface ComparedIndex {
	readonly declared: DeclaredIndex;
	readonly live: StoredIndex | undefined;
	readonly state: IndexState;
}

/** Compares the declared indexes with those in the database; `others`: the tables' other indexes. */
export async function readIndexStates(
	db: Handle,
	schema: string,
	declared: readonly DeclaredIndex[],
): Promise<{ compared: ComparedIndex[]; others: StoredIndex[] }> {
	const live = await readIndexes(
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

function stateOf(
	live: StoredIndex | undefined,
	hasChanged: boolean,
): IndexState {
	if (live === undefined) return "missing";
	if (!live.isValid) return "invalid";
	return hasChanged ? "changed" : "valid";
}

interface Pair {
	readonly declared: DeclaredIndex;
	readonly live: StoredIndex;
}

/** Those whose definition differs. Only where the texts look different, PostgreSQL writes ours in its canonical form. */
async function changedIndexes(
	db: Handle,
	schema: string,
	pairs: readonly Pair[],
): Promise<Set<string>> {
	const doubtful = pairs.filter((pair) => !hasSameText(schema, pair));
	const changed = new Set<string>();
	for (const tableName of new Set(
		doubtful.map(({ declared }) => declared.tableName),
	)) {
		const here = doubtful.filter(
			({ declared }) => declared.tableName === tableName,
		);
		const canonical = await canonicalDefinitions(
			db,
			{ schema, tableName },
			here.map(({ declared }) => toText(declared.definition)),
		).catch(onReadOnly);
		here.forEach(({ declared, live }, at) => {
			const isSame =
				live.definition === canonical?.[at] &&
				live.isUnique === declared.isUnique &&
				live.tableName === declared.tableName;
			if (!isSame) changed.add(declared.name);
		});
	}
	return changed;
}

const readOnlyTransaction = "25006";

/** A standby creates no table for the canonical form: there, what looks different counts as different. */
function onReadOnly(error: unknown): undefined {
	if (!(error instanceof RemError) || error.sqlState !== readOnlyTransaction)
		throw error;
}

function hasSameText(schema: string, { declared, live }: Pair): boolean {
	return (
		live.isUnique === declared.isUnique &&
		live.tableName === declared.tableName &&
		normalized(schema, live.definition) ===
			normalized(schema, toText(declared.definition))
	);
}

/** Without what PostgreSQL adds when it writes a definition. */
function normalized(schema: string, definition: string): string {
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

import type { Handle } from "../db/database.ts";
import { embedTexts, generateForTexts } from "../embeddings/embed-texts.ts";
import type { CallOptions } from "../embeddings/embedding-run.ts";
import { isProviders } from "../embeddings/failure.ts";
import type { EmbeddingProvider } from "../embeddings/provider.ts";
import { vectorProblem } from "../embeddings/vector-problem.ts";
import { type Issue, isProviderError, RemError, withHint } from "../errors.ts";
import type { EntityTable } from "../models/registry.ts";
import type { RowScope } from "../models/row-problems.ts";
import type { ValidRow } from "../models/validate.ts";
import type { PassageVector, VectorSpace } from "../models/vector.ts";
import { elementAt } from "../util/present.ts";
import { distinctRows, distinctStored } from "./distinct-rows.ts";
import type { MergeField } from "./merge.ts";
import { type PlannedRow, planRow } from "./plan-rows.ts";
import { RowChanged, readStored, type StoredRow } from "./read-stored.ts";
import type { UpsertProgress, UpsertResult } from "./upsert-result.ts";

export interface UpsertOptions {
	readonly scope: RowScope;
	/** `undefined`: texts get no vectors. */
	readonly provider: EmbeddingProvider | undefined;
	/** Where ready vectors belong, when no provider makes any. */
	readonly space: VectorSpace | undefined;
	/** Whether the caller named it, or there is no other. */
	readonly isSpaceClear: boolean;
	readonly embeddingCalls: CallOptions;
	/** Texts without a vector are queued, instead of failing the call. */
	readonly queuesFailures: boolean;
	/** Fields that are added to instead of replaced. */
	readonly merge: readonly MergeField[];
	readonly atomic: true | "chunk";
	/** The rows are live ones of their tenant: one that is gone by now was changed by another writer. @default false */
	readonly updatesOnly?: boolean;
	/** Outside any transaction, before each chunk is written: how many vectors the whole call will write to each field, as estimated from the chunks so far. */
	readonly beforeWrite?: ((vectors: VectorCounts) => Promise<void>) | undefined;
	readonly onProgress?: ((progress: UpsertProgress) => void) | undefined;
	readonly signal?: AbortSignal | undefined;
}

/** What all steps of a batch upsert need. */
export interface UpsertCall {
	readonly db: Handle;
	readonly table: EntityTable;
	readonly options: UpsertOptions;
	/** Where each row is written, in the order of locking. @default all into `table` */
	readonly split?: (
		rows: readonly ValidRow[],
	) => Promise<readonly UpsertPart[]>;
}

/** The rows of a batch that are written into one table. */
export interface UpsertPart {
	readonly call: Pick<UpsertCall, "db" | "table" | "options">;
	readonly rows: readonly ValidRow[];
	/** Whether they are written to another table as well, and counted there. */
	readonly isCopy: boolean;
	/** Called once they are committed. */
	readonly onCommitted?: (result: UpsertResult) => void;
}

/** By the hash of a text: its vector, or those of its passages. */
export type TextVectors = ReadonlyMap<string, readonly PassageVector[]>;

/** Vectors by field. */
export type VectorCounts = ReadonlyMap<string, number>;

/** A batch that only needs a transaction. */
export interface Prepared {
	/** As validated, duplicates included. */
	readonly input: readonly ValidRow[];
	/** One row for each row of the database, in the order of locking. */
	readonly rows: readonly PlannedRow[];
	/** For each row of the input, its place in `rows`. */
	readonly places: readonly number[];
	readonly space: VectorSpace | undefined;
	/** Vectors by the hash of their text. */
	readonly vectors: TextVectors;
	/** The id of a new row without one. @default a new id for each call */
	readonly newId?: (row: ValidRow) => string;
}

/** Everything that needs no transaction: compare, then embed what changed. */
export async function prepare(
	{ db, table, options }: UpsertCall,
	input: readonly ValidRow[],
	known: TextVectors = new Map(),
): Promise<Prepared> {
	const space = table.entity.createEmbeddings ? options.space : undefined;
	const distinct = distinctRows(table.entity, input);
	const plans = new Map<ValidRow, PlannedRow>();
	const plan = (row: ValidRow, stored: StoredRow | undefined) => {
		if (options.updatesOnly === true && !isLive(row, stored))
			throw new RowChanged();
		const planned = planRow(
			table,
			{ row, stored },
			{
				embed: options.provider !== undefined || options.queuesFailures,
				merge: options.merge,
				boundUser: options.scope.boundUser,
			},
		);
		plans.set(row, planned);
		return planned;
	};
	const { rows, places } = distinctStored(
		distinct,
		await readStored(db, table, { rows: distinct.rows, space, onRead: plan }),
	);
	// A row without id and key was not looked for.
	const planned = rows.map((row) => plans.get(row) ?? plan(row, undefined));
	const vectors = new Map(known);
	const missing = new Map<string, string>();
	for (const { texts } of planned)
		for (const { text, hash, ready } of texts) {
			if (ready !== undefined) checkReady(ready, space, options.isSpaceClear);
			else if (!vectors.has(hash)) missing.set(hash, text);
		}
	const made = await embedMissing(missing, options, (hash) =>
		ownerOf(planned, hash),
	);
	for (const [hash, passages] of made) vectors.set(hash, passages);
	return {
		input,
		rows: planned,
		places,
		space,
		vectors,
	};
}

function isLive(row: ValidRow, stored: StoredRow | undefined): boolean {
	return stored?.isDeleted === false && stored.tenantId === row.tenantId;
}

/** Calls whose provider failed: their later chunks do not wait for the same failure. */
const failing = new WeakSet<UpsertOptions>();

/** The vectors of texts, both by the texts' hashes. */
async function embedMissing(
	missing: ReadonlyMap<string, string>,
	options: UpsertOptions,
	ownerOf: (hash: string) => Pick<Issue, "index" | "field">,
): Promise<Map<string, readonly PassageVector[]>> {
	const { provider, embeddingCalls, queuesFailures, signal } = options;
	const made = new Map<string, readonly PassageVector[]>();
	if (provider === undefined || missing.size === 0 || failing.has(options))
		return made;
	const hashes = [...missing.keys()];
	const texts = [...missing.values()];
	const calls = { ...embeddingCalls, purpose: "document", signal } as const;
	if (!queuesFailures) {
		const vectors = await generateForTexts(provider, texts, {
			...calls,
			issueOf: (place) => ownerOf(elementAt(hashes, place)),
		}).catch((error: unknown) => {
			throw isProviderError(error)
				? withHint(error, "nothing was stored for these texts")
				: error;
		});
		hashes.forEach((hash, index) => {
			made.set(hash, elementAt(vectors, index));
		});
		return made;
	}
	const outcomes = await embedTexts(provider, texts, calls);
	outcomes.forEach((outcome, index) => {
		if ("passages" in outcome)
			made.set(elementAt(hashes, index), outcome.passages);
		else if (isProviders(outcome.kind)) failing.add(options);
	});
	return made;
}

/** Row and field of a text, the first where several have it. */
function ownerOf(
	planned: readonly PlannedRow[],
	hash: string,
): { index?: number; field?: string } {
	for (const { row, texts } of planned) {
		const text = texts.find((text) => text.hash === hash);
		if (text !== undefined) return { index: row.index, field: text.field };
	}
	return {};
}

function checkReady(
	vector: Float32Array,
	space: VectorSpace | undefined,
	isSpaceClear: boolean,
): void {
	if (!isSpaceClear)
		throw new RemError(
			"PROVIDER_NOT_CONFIGURED",
			`ready vectors are given without their model, and the active model of the table differs from the configured one, ${space?.model}`,
			{ hint: "pass embeddingProvider and embeddingModel" },
		);
	if (space === undefined)
		throw new RemError(
			"PROVIDER_NOT_CONFIGURED",
			"ready vectors are given without their model",
			{
				hint: "configure the provider and model they come from, or pass embeddingProvider and embeddingModel",
			},
		);
	const problem = vectorProblem(vector, space.dimensions);
	if (problem !== undefined)
		throw new RemError(
			problem.code,
			`a ready vector has ${problem.message} (model ${space.model})`,
			{ hint: "nothing was written" },
		);
}

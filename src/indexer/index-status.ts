import type { StoredIndex } from "../db/catalogue/indexes.ts";
import type { Handle } from "../db/database.ts";
import type { RemError } from "../errors.ts";
import type { DeclaredIndex, IndexType } from "../schema/index-types.ts";
import {
	type BlockingTransaction,
	type RunningBuild,
	readRunningBuilds,
} from "./build-progress.ts";
import type { QueuedBuild } from "./build-queue.ts";
import type { Declaration } from "./declared-indexes.ts";
import { indexNeed } from "./index-need.ts";
import { type ComparedIndex, readIndexStates } from "./index-state.ts";

/**
 * `valid`: searches use it. `building`. `queued`: waits for its turn, or for its
 * next attempt. `failed`: for good, see `error`. `missing`, `invalid`,
 * `changed` (valid, and declared otherwise by now): work that is not queued.
 * `deferred`: missing, and its table too small for it to pay. `impossible`: see
 * `error`.
 */
export type IndexStatusState =
	| "valid"
	| "building"
	| "queued"
	| "failed"
	| "missing"
	| "invalid"
	| "changed"
	| "deferred"
	| "impossible";

export interface IndexStatus {
	readonly indexName: string;
	readonly tableName: string;
	/** `null`: an invalid index that the models do not ask for; nothing is done about it. */
	readonly indexType: IndexType | null;
	readonly state: IndexStatusState;
	/** Whether it can be used now: also an index that is being replaced. */
	readonly usable: boolean;
	readonly sizeBytes: number;
	/** Since it was last built or asked for. */
	readonly attempts: number;
	readonly nextAttemptAt: Date | null;
	readonly error: string | null;
	readonly sqlState: string | null;
	/** 0 to 100, while it is being built. */
	readonly percent: number | null;
	readonly phase: string | null;
	readonly etaMs: number | null;
	/** Whose transaction the build waits for. */
	readonly waitsFor: BlockingTransaction | null;
	/** The owner of the table, where it is queued and only a worker of that role may build it. */
	readonly leftTo: string | null;
	/** Its schema, where tenants are spread over several. */
	readonly bucket?: string;
}

export async function readIndexStatus(
	db: Handle,
	{
		possible,
		impossible,
		queue,
	}: Declaration & { readonly queue: readonly QueuedBuild[] },
	{ schema, ...more }: Parameters<typeof indexNeed>[2],
): Promise<IndexStatus[]> {
	const { compared, others } = await readIndexStates(db, schema, possible);
	const running = await readRunningBuilds(db, schema);
	const { paying, problems } = await indexNeed(
		db,
		compared
			.filter(({ state }) => state === "missing")
			.map(({ declared }) => declared),
		{ schema, ...more },
	);
	return [
		...compared.map((index) =>
			statusOf(index, {
				queue,
				running,
				pays: paying.includes(index.declared),
				problem: problems.get(index.declared),
			}),
		),
		...impossible.map(([index, problem]) => impossibleIndex(index, problem)),
		...others
			.filter(({ isValid }) => !isValid)
			.map((index) => undeclared(index, running)),
	].sort(
		(a, b) =>
			a.tableName.localeCompare(b.tableName) ||
			a.indexName.localeCompare(b.indexName),
	);
}

const notInProgress = {
	attempts: 0,
	nextAttemptAt: null,
	error: null,
	sqlState: null,
	percent: null,
	phase: null,
	etaMs: null,
	waitsFor: null,
	leftTo: null,
};

const remedy = "rem migrate adds what is missing";

interface Known {
	readonly queue: readonly QueuedBuild[];
	readonly running: readonly RunningBuild[];
	readonly pays: boolean;
	/** Why that is not known. */
	readonly problem: RemError | undefined;
}

function statusOf(
	{ declared, live, state }: ComparedIndex,
	{ queue, running, pays, problem }: Known,
): IndexStatus {
	const job = queue.find(({ indexName }) => indexName === declared.name);
	const isBuilding = job?.state === "building" && job.isLocked;
	// While a changed one is replaced, the build goes by another name.
	const build = running.find(({ indexName, tableName }) =>
		isBuilding ? tableName === declared.tableName : indexName === declared.name,
	);
	return {
		...notInProgress,
		indexName: declared.name,
		tableName: declared.tableName,
		indexType: declared.indexType,
		state:
			state !== "valid" && (isBuilding || build !== undefined)
				? "building"
				: shownState(state, job, pays || problem !== undefined),
		usable: state === "valid" || state === "changed",
		sizeBytes: live?.sizeBytes ?? 0,
		error: problem === undefined ? null : `${problem.message}: ${remedy}`,
		sqlState: problem?.sqlState ?? null,
		...(job === undefined || job.state === "built" || state === "valid"
			? {}
			: {
					attempts: job.attempts,
					nextAttemptAt: job.state === "queued" ? job.nextAttemptAt : null,
					error: job.error,
					sqlState: job.sqlState,
					leftTo: isBuilding ? null : job.leftTo,
				}),
		...(isBuilding || build !== undefined
			? {
					percent: build?.percent || (job?.progress ?? 0),
					phase: build?.phase ?? null,
					etaMs: build?.etaMs ?? null,
					waitsFor: build?.waitsFor ?? null,
				}
			: {}),
	};
}

function shownState(
	state: ComparedIndex["state"],
	job: QueuedBuild | undefined,
	pays: boolean,
): IndexStatusState {
	if (state === "valid") return "valid";
	if (job?.state === "queued" || job?.state === "building") return "queued";
	if (job?.state === "failed") return "failed";
	return state === "missing" && !pays ? "deferred" : state;
}

function impossibleIndex(
	{ name, tableName, indexType }: DeclaredIndex,
	problem: string,
): IndexStatus {
	return {
		...notInProgress,
		indexName: name,
		tableName,
		indexType,
		state: "impossible",
		usable: false,
		sizeBytes: 0,
		error: problem,
	};
}

function undeclared(
	{ name, tableName, sizeBytes }: StoredIndex,
	running: readonly RunningBuild[],
): IndexStatus {
	const build = running.find(({ indexName }) => indexName === name);
	return {
		...notInProgress,
		...(build && {
			percent: build.percent,
			phase: build.phase,
			etaMs: build.etaMs,
			waitsFor: build.waitsFor,
		}),
		indexName: name,
		tableName,
		indexType: null,
		state: build === undefined ? "invalid" : "building",
		usable: false,
		sizeBytes,
	};
}

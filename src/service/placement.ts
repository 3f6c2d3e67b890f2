import { Buckets } from "../buckets/buckets.ts";
import {
	countContents,
	hasCitus,
	type MoveMode,
	moveSchema,
	readNodes,
	readPlaces,
	splitNode,
} from "../buckets/read-placement.ts";
import { optionalOptions, options } from "../calls/arguments.ts";
import { async, publicMethods, traced } from "../calls/public-methods.ts";
import { refusingDatabase } from "../core/refusing-database.ts";
import type { ServiceCore } from "../core/service-core.ts";
import { sideBySide } from "../core/side-by-side.ts";
import { type Database, limited } from "../db/database.ts";
import { refuseInsideTransaction } from "../db/open-transaction.ts";
import { RemError, withParts } from "../errors.ts";
import { listOf, text, wholeNumber } from "../models/checks.ts";
import { required } from "../models/options.ts";

/** What a bucket contains, and the node that it is on. */
export interface BucketStatus {
	/** Its number, from 0. */
	readonly bucket: number;
	readonly schema: string;
	/** Rows of the models' tables, also soft-deleted ones. */
	readonly rows: number;
	/** Tenants that have rows in it. */
	readonly tenants: number;
	/** Size on disk of all its tables with their indexes, in bytes. */
	readonly bytes: number;
	/** Where Citus has placed it, as `host:port`; `null` on a server without Citus. */
	readonly node: string | null;
	/** Its unlogged tables: while Citus moves them, writes to the bucket wait. */
	readonly unlogged: readonly string[];
	/** Tables of the models that it lacks; `migrate` creates them. */
	readonly missing: readonly string[];
}

export interface BucketStatusOptions {
	/** Numbers of the buckets to read, from 0. @default all */
	readonly buckets?: readonly number[];
}

export interface BucketMoveOptions {
	/** Its number, from 0. */
	readonly bucket: number;
	/** The node as Citus names it: `host:port`; without a port, 5432. */
	readonly to: string;
}

/** The result of a move, whether or not one was needed. */
export interface BucketMoveResult {
	readonly bucket: number;
	readonly schema: string;
	/** The node that it was on, as `host:port`. */
	readonly from: string;
	/** The node that it is on, as `host:port`. */
	readonly to: string;
	/** `false`: it was on that node already. */
	readonly moved: boolean;
	/** Whether writes to the bucket waited for the move, because it has unlogged tables. */
	readonly blockedWrites: boolean;
	/** Of the move and the check of the cache. */
	readonly durationMs: number;
}

/**
 * The buckets that the tenants of a service are spread over: what each contains,
 * and on which node of a Citus cluster it is. Without buckets every call is `CONFIG_INVALID`.
 */
export class Placement {
	readonly #core: ServiceCore;

	/** @internal */
	constructor(core: ServiceCore) {
		this.#core = core;
	}

	/**
	 * Counts rows, tenants and bytes of each bucket: one statement for all of them,
	 * then one for each, several at the same time. `VALIDATION` if there is no bucket
	 * of a number.
	 *
	 * @example
	 * const [first] = await service.buckets.status()
	 * // { bucket: 0, schema: "public_b00", rows: 1200, tenants: 3, bytes: 9732096, node: null, unlogged: ["kv_store", …], missing: [] }
	 */
	async status({
		buckets: numbers,
	}: BucketStatusOptions = {}): Promise<BucketStatus[]> {
		const buckets = this.#buckets();
		const db = limited(databaseOf(buckets));
		const wanted = numbersOf(buckets, numbers);
		const entities = buckets.registry.all().map(({ entity }) => entity);
		const names = entities.map(({ tableName }) => tableName);
		const places = await readPlaces(
			db,
			wanted.map((number) => buckets.schemas[number] ?? ""),
			names,
		);
		return sideBySide(
			buckets,
			undefined,
			wanted.map((bucket) => async (): Promise<BucketStatus> => {
				const schema = buckets.schemas[bucket] ?? "";
				const place = places.find((place) => place.schema === schema);
				const {
					tables = [],
					unlogged = [],
					bytes = 0,
					node = null,
				} = place ?? {};
				const contents = await countContents(
					db,
					buckets
						.at(bucket)
						.registry.all()
						.filter(({ entity }) => tables.includes(entity.tableName)),
				);
				return {
					bucket,
					schema,
					...contents,
					bytes,
					node,
					unlogged,
					missing: names.filter((name) => !tables.includes(name)),
				};
			}),
		);
	}

	/**
	 * Moves a bucket to another node of the Citus cluster with `citus_schema_move`, and
	 * returns when its cache of names is ready there. If the bucket has unlogged
	 * tables (the cache, unless `kvPersistence` is `logged`), writes to it wait.
	 * `SERVER_UNSUPPORTED` without Citus, `VALIDATION` if there is no such bucket or
	 * node, `SCHEMA_DRIFT` if Citus has not placed the bucket.
	 *
	 * @example
	 * await service.buckets.move({ bucket: 12, to: "10.0.0.7:5432" })
	 * // { bucket: 12, schema: "public_b12", from: "10.0.0.6:5432", to: "10.0.0.7:5432", moved: true, blockedWrites: true, durationMs: 4210 }
	 */
	async move({ bucket, to }: BucketMoveOptions): Promise<BucketMoveResult> {
		const buckets = this.#buckets();
		refuseInsideTransaction(buckets.db);
		const db = databaseOf(buckets);
		const [number = 0] = numbersOf(buckets, [bucket]);
		const target = await findNode(limited(db), to);
		const schema = buckets.schemas[number] ?? "";
		const [place] = await readPlaces(limited(db), [schema], []);
		if (place === undefined || place.node === null)
			throw new RemError("SCHEMA_DRIFT", `Citus has not placed ${schema}`, {
				hint: "run migrate (rem migrate) with citus.enable_schema_based_sharding = on",
			});
		const { node: from, unlogged } = place;
		const mode: MoveMode = unlogged.length > 0 ? "block_writes" : "auto";
		const isThere = from === target;
		const started = performance.now();
		if (!isThere)
			await moveSchema(db, schema, { node: target, mode }).catch(
				(error: unknown) => {
					throw notMoved(error, schema, target);
				},
			);
		buckets.nodes?.forget();
		await buckets.at(number).kv.ensureReady();
		return {
			bucket: number,
			schema,
			from,
			to: target,
			moved: !isThere,
			blockedWrites: !isThere && mode === "block_writes",
			durationMs: Math.round(performance.now() - started),
		};
	}

	#buckets(): Buckets {
		if (this.#core instanceof Buckets) return this.#core;
		throw new RemError("CONFIG_INVALID", "this service has no buckets", {
			hint: "connect with buckets (POSTGRES__BUCKETS) to spread tenants over several schemas: docs/buckets.md",
		});
	}
}

/** Refuses statements under row level security, because they concern all tenants. */
function databaseOf({ db, settings }: Buckets): Database {
	return settings.rowLevelSecurity ? refusingDatabase(db) : db;
}

function numbersOf(
	{ schemas }: Buckets,
	numbers: readonly number[] | undefined,
): readonly number[] {
	if (numbers === undefined) return schemas.map((_, number) => number);
	const last = schemas.length - 1;
	for (const number of numbers)
		if (number > last)
			throw new RemError(
				"VALIDATION",
				`there is no bucket ${number}: they are 0 to ${last}`,
			);
	return [...new Set(numbers)];
}

/** The node as `host:port`; throws unless Citus may place buckets on it. */
async function findNode(db: Database, to: string): Promise<string> {
	if (!(await hasCitus(db)))
		throw new RemError(
			"SERVER_UNSUPPORTED",
			"the database has no Citus, which moves buckets between nodes",
			{
				hint: "all buckets are on this server; to move to another server, export the rows and load them there: docs/move-data.md",
			},
		);
	const { host, port } = splitNode(to);
	const nodes = await readNodes(db);
	const node = `${host}:${port}`;
	if (nodes.includes(node)) return node;
	throw new RemError("VALIDATION", `the cluster has no node ${node}`, {
		hint: `nodes that may have buckets: ${nodes.join(", ")}`,
	});
}

/** Citus cleans up after a failed move; the bucket is complete on one of the nodes. */
function notMoved(error: unknown, schema: string, target: string): unknown {
	if (!(error instanceof RemError)) return error;
	const { hint, message } = error;
	return withParts(error, {
		message: `Citus did not move ${schema} to ${target}: ${message}`,
		hint: `${hint === undefined ? "" : `${hint}; `}the log of the coordinator has the reason, and buckets.status (rem buckets status) shows where the bucket is; no row is lost, and the move can be repeated`,
	});
}

const bucketNumber = wholeNumber(0);

publicMethods<Placement>()(Placement, {
	status: traced(
		async(
			optionalOptions<BucketStatusOptions>({ buckets: listOf(bucketNumber) }),
		),
		{ operation: "buckets.status" },
	),
	move: traced(
		async(
			options<BucketMoveOptions>({
				bucket: required(bucketNumber),
				to: required(text),
			}),
		),
		{ operation: "buckets.move" },
	),
});

import type { ErrorResponse } from "./common.ts";

/** What is known of each part; `null`: not read yet. */
export interface HealthSnapshot {
	readonly checks: HealthPart<HealthChecks> | null;
	readonly cache: HealthPart<CacheHealth> | null;
	readonly embeddings: HealthPart<EmbeddingHealth> | null;
	readonly indexes: HealthPart<IndexHealth> | null;
	readonly pool: HealthPart<PoolHealth> | null;
	readonly statements: HealthPart<StatementHealth> | null;
}

export type HealthPartName = keyof HealthSnapshot;

/** When it was read, and what was found, or why it could not be read. */
export type HealthPart<Data> =
	| { readonly at: string; readonly ok: true; readonly data: Data }
	| {
			readonly at: string;
			readonly ok: false;
			readonly error: ErrorResponse["error"];
	  };

/** Sent at once for every part, and again whenever it was read again (every 2 s; checks every 30 s). */
export type HealthEvent = {
	[Name in HealthPartName]: {
		readonly part: Name;
		readonly value: NonNullable<HealthSnapshot[Name]>;
	};
}[HealthPartName];

/** As `rem doctor`. */
export interface HealthChecks {
	readonly checks: readonly {
		readonly name: string;
		readonly state: "ok" | "warning" | "failed";
		readonly found: string;
		readonly remedy?: string;
	}[];
}

export interface CacheHealth {
	readonly isReady: boolean;
	readonly isRebuilding: boolean;
	readonly persistence: "unlogged" | "logged";
	/** By entity type; `null` where it cannot be read. */
	readonly entries: Readonly<Record<string, number>> | null;
	readonly problems: readonly string[];
}

export interface EmbeddingHealth {
	readonly configured: {
		readonly provider: string;
		readonly model: string;
	} | null;
	/** Whether this process works on the queue. */
	readonly isRunning: boolean;
	/** Tables whose active model differs from the configured one. */
	readonly mismatched: readonly string[];
	readonly fields: readonly {
		readonly table: string;
		readonly field: string;
		readonly provider: string;
		readonly model: string;
		readonly dimensions: number;
		/** `active`, `building`, … or `null`. */
		readonly state: string | null;
		readonly texts: number;
		readonly embedded: number;
		readonly queued: number;
		readonly dead: number;
		readonly oldestMs: number | null;
		readonly reasons: readonly {
			readonly reason: string;
			readonly count: number;
		}[];
	}[];
	/** All fields together over time, oldest first, as long as the studio runs (at most 300). */
	readonly history: readonly {
		readonly at: string;
		readonly embedded: number;
		readonly queued: number;
		readonly dead: number;
	}[];
	/** Vectors a second over the last minute; `null`: not known yet. */
	readonly perSecond: number | null;
	/** Until the queue is empty at that rate. */
	readonly etaMs: number | null;
}

export interface IndexHealth {
	/** Whether this process builds, or waits to. */
	readonly isRunning: boolean;
	readonly indexes: readonly {
		readonly name: string;
		readonly table: string;
		readonly type: string | null;
		/** `valid`, `building`, `queued`, `failed`, `missing`, `invalid`, `changed`, `deferred`, `impossible` */
		readonly state: string;
		readonly isUsable: boolean;
		readonly sizeBytes: number;
		readonly attempts: number;
		readonly nextAttemptAt: string | null;
		readonly error: string | null;
		/** 0 to 100 while it is built. */
		readonly percent: number | null;
		readonly phase: string | null;
		readonly etaMs: number | null;
	}[];
}

export interface PoolHealth {
	/** `null`: the embedded database has no pool. */
	readonly connections: {
		readonly max: number;
		readonly total: number;
		readonly idle: number;
		readonly waiting: number;
	} | null;
}

/** The slowest calls of the studio's own process, slowest first, at most 50. */
export interface StatementHealth {
	readonly statements: readonly {
		readonly at: string;
		/** The verb, or the SQL's beginning. */
		readonly text: string;
		readonly durationMs: number;
		readonly rows: number | null;
		readonly error: string | null;
	}[];
}

import type {
	CacheHealth,
	EmbeddingHealth,
	HealthChecks,
	HealthPartName,
	IndexHealth,
	PoolHealth,
	StatementHealth,
} from "../api/health.ts";
import { isoTime } from "../json.ts";
import type { StudioService } from "../place.ts";

import type { QueueHistory } from "./queue-history.ts";

/** How each part of the health is read, by the service's own methods. */
export function partReaders(
	service: StudioService,
	history: QueueHistory,
): Readonly<Record<HealthPartName, () => Promise<object>>> {
	return {
		checks: () => readChecks(service),
		cache: () => readCache(service),
		embeddings: () => readEmbeddings(service, history),
		indexes: () => readIndexes(service),
		pool: async () => readPool(service),
		statements: async () => readStatements(service),
	};
}

async function readChecks(service: StudioService): Promise<HealthChecks> {
	const { checks } = await service.doctor();
	return { checks };
}

async function readCache(service: StudioService): Promise<CacheHealth> {
	const status = await service.kv.status();
	return {
		isReady: status.ready,
		isRebuilding: status.rebuilding,
		persistence: status.persistence,
		entries: status.entries,
		problems: status.problems.map(({ message }) => message),
	};
}

async function readEmbeddings(
	service: StudioService,
	history: QueueHistory,
): Promise<EmbeddingHealth> {
	const status = await service.embeddings.status();
	const { configured, running, mismatched, fields } = status;
	history.add(fields);
	return {
		configured:
			configured === undefined
				? null
				: { provider: configured.provider, model: configured.model },
		isRunning: running,
		mismatched,
		fields: fields.map(
			({ tableName, fieldName, state, oldestMs, ...counts }) => ({
				...counts,
				table: tableName,
				field: fieldName,
				state: state ?? null,
				oldestMs: oldestMs ?? null,
			}),
		),
		...history.figures(),
	};
}

async function readIndexes(service: StudioService): Promise<IndexHealth> {
	const { running, indexes } = await service.indexer.status();
	return {
		isRunning: running,
		indexes: indexes.map((index) => ({
			name: index.indexName,
			table: index.tableName,
			type: index.indexType,
			state: index.state,
			isUsable: index.usable,
			sizeBytes: index.sizeBytes,
			attempts: index.attempts,
			nextAttemptAt: isoTime(index.nextAttemptAt),
			error: index.error,
			percent: index.percent,
			phase: index.phase,
			etaMs: index.etaMs,
		})),
	};
}

function readPool({ capabilities, activity }: StudioService): PoolHealth {
	if (capabilities.kind === "embedded") return { connections: null };
	const { max, open: total, idle, waiting } = activity.connections;
	return { connections: { max, total, idle, waiting } };
}

function readStatements({ activity }: StudioService): StatementHealth {
	return {
		statements: activity.slowest.map(
			({ at, text, durationMs, rowCount, error }) => ({
				at: at.toISOString(),
				text,
				durationMs,
				rows: rowCount ?? null,
				error: error ?? null,
			}),
		),
	};
}

import { randomUUID } from "node:crypto";
import type { PostgresService, Repository } from "remdb";
import type { Grown } from "./grown-rows.ts";

// Nothing here loads the package: tests, which test the sources, import it too.

export type GrownService = PostgresService<readonly [typeof Grown]>;
export type GrownRepository = Repository<typeof Grown>;

/** A row that calls are about. */
export interface GrownRow {
	readonly id: string;
	readonly tenantId: string;
	readonly name: string;
	readonly content: string;
	readonly sessionId: string | undefined;
	readonly vector: Float32Array;
}

/** A call of a verb among many rows, on the service or the repository that has the verb. */
export interface GrowthCall<Target = GrownService> {
	/** What the call is, where the verb's name does not state it. */
	readonly about: string;
	/** Of a further call of a verb, whose cost is of another kind. */
	readonly variant?: string;
	/** What its time may grow with; omitted: nothing but the depth of an index. */
	readonly reads?: "tenant" | "bounded";
	/** What the call is made from; not timed. */
	readonly prepare?: (
		service: GrownService,
		row: GrownRow,
		rows: GrownRepository,
	) => Promise<NewRow | string>;
	readonly call: (
		target: Target,
		row: GrownRow,
		prepared: never,
	) => Promise<unknown>;
}

/** Of a call that changes one. */
export interface NewRow {
	readonly id: string;
	readonly name: string;
}

export const grownTable = "notes" as const;
const queryWords = 8;

/** Words from the middle of the text, as a question has some of them. */
export function questionOf({ content }: GrownRow): string {
	const words = content.split(/\s+/);
	const start = Math.max(0, Math.floor((words.length - queryWords) / 2));
	return words.slice(start, start + queryWords).join(" ");
}

/** The name with a letter left out. */
export function misspelt({ name }: GrownRow): string {
	return name.slice(0, 2) + name.slice(3);
}

export function newRow({ name, content, vector }: GrownRow) {
	return {
		name: `${name} ${randomUUID()}`.slice(0, 255),
		content,
		vectors: { content: vector },
	};
}

export const nearRow = (row: GrownRow) => ({
	tableName: grownTable,
	queryEmbedding: row.vector,
	tenantId: row.tenantId,
});

/** A row of its own for a call that changes it. */
export async function written(
	service: GrownService,
	row: GrownRow,
): Promise<NewRow> {
	const entity = newRow(row);
	const { ids } = await service.batchUpsert({
		tableName: grownTable,
		entities: [entity],
		tenantId: row.tenantId,
	});
	return { id: ids[0] ?? "", name: entity.name };
}

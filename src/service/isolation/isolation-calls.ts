import type { Handle } from "../../db/database.ts";
import { RemError } from "../../errors.ts";
import { definitionOf, isArrayType } from "../../models/column-types.ts";
import type { Entity } from "../../models/entity.ts";
import { type Canary, canaryVector } from "./canaries.ts";
import type { IsolationCalls } from "./check-isolation.ts";

interface Scope {
	readonly tenantId: string;
	readonly transaction: Handle;
}

/** The service's reads and writes, as far as they are tried. */
export interface TriedService {
	lookupEntities(
		options: Scope & { readonly entityKeys: readonly string[] },
	): Promise<readonly unknown[]>;
	fuzzySearch(
		options: Scope & { readonly query: string; readonly threshold: number },
	): Promise<readonly unknown[]>;
	vectorSearch(
		options: Scope & {
			readonly tableName: string;
			readonly queryEmbedding: Float32Array;
		},
	): Promise<readonly unknown[]>;
	hybridSearch(
		options: Scope & {
			readonly tableName: string;
			readonly query: string;
			readonly queryEmbedding: Float32Array;
		},
	): Promise<readonly unknown[]>;
	batchUpsert(
		options: Scope & {
			readonly tableName: string;
			readonly entities: readonly object[];
			readonly generateEmbeddings: false;
		},
	): Promise<{ readonly updated: number }>;
	traverse(
		options: Scope & { readonly from: string; readonly direction: "both" },
	): Promise<{ readonly from: unknown }>;
	link(
		options: Scope & {
			readonly from: string;
			readonly edges: readonly object[];
		},
	): Promise<unknown>;
	unlink(
		options: Scope & { readonly from: string; readonly dst: string },
	): Promise<unknown>;
	query(text: string, scope: Scope): Promise<object>;
	repository(entity: Entity): TriedRepository;
}

interface TriedRepository {
	find(
		filter: Readonly<Record<string, unknown>>,
		options: { readonly transaction: Handle },
	): Promise<readonly unknown[]>;
	count(
		filter: Readonly<Record<string, unknown>>,
		options: { readonly transaction: Handle },
	): Promise<number>;
	getById(
		id: string,
		tenantId: string,
		options: { readonly transaction: Handle },
	): Promise<unknown>;
	delete(id: string, tenantId: string, options: object): Promise<boolean>;
	restore(id: string, tenantId: string, options: object): Promise<boolean>;
	purge(id: string, tenantId: string, options: object): Promise<boolean>;
}

export function isolationCalls(service: TriedService): IsolationCalls {
	return {
		find: (canary, scope) => findCanary(service, canary, scope),
		change: (canary, scope) => changeCanary(service, canary, scope),
	};
}

async function findCanary(
	service: TriedService,
	{ table, id, key, space }: Canary,
	scope: Scope,
): Promise<string[]> {
	const { entity } = table;
	const { tenantId, transaction } = scope;
	const repository = service.repository(entity);
	const found: string[] = [];
	const note = (what: string, rows: readonly unknown[]) => {
		if (rows.length > 0)
			found.push(`${what} finds a row of ${entity.tableName}`);
	};
	if (key !== undefined) {
		note(
			"lookupEntities",
			await service.lookupEntities({ ...scope, entityKeys: [key] }),
		);
		note(
			"fuzzySearch",
			await service.fuzzySearch({ ...scope, query: key, threshold: 0.9 }),
		);
	}
	if (space !== undefined && entity.embedFields.length > 0) {
		const queryEmbedding = canaryVector(space.dimensions);
		const { tableName } = entity;
		note(
			"vectorSearch",
			await service.vectorSearch({
				...scope,
				tableName,
				queryEmbedding,
			}),
		);
		const query = key ?? "rem canary";
		note(
			"hybridSearch",
			await service.hybridSearch({
				...scope,
				tableName,
				query,
				queryEmbedding,
			}),
		);
	}
	const walk = { ...scope, from: key ?? id, direction: "both" } as const;
	const { from } = await service.traverse(walk);
	note("traverse", from === undefined ? [] : [from]);
	const text = `SQL "${entity.tableName}" WHERE id = '${id}' OR TRUE`;
	const answer = await service.query(text, scope);
	note("query", "rows" in answer ? (answer.rows as unknown[]) : []);
	note("find", await repository.find({ tenantId, id }, { transaction }));
	note(
		"getById",
		[await repository.getById(id, tenantId, { transaction })].filter(Boolean),
	);
	const count = await repository.count({ tenantId }, { transaction });
	if (count > 0) found.push(`count counts a row of ${entity.tableName}`);
	return found;
}

async function changeCanary(
	service: TriedService,
	{ table, id, key }: Canary,
	scope: Scope,
): Promise<string[]> {
	const { tenantId, transaction } = scope;
	const repository = service.repository(table.entity);
	const changed: string[] = [];
	for (const change of ["delete", "restore", "purge"] as const)
		if (await repository[change](id, tenantId, { transaction }))
			changed.push(`${change} changes a row of ${table.entity.tableName}`);
	const edges = [{ dst: "nobody", rel_type: "canary" }];
	const link = service.link({ ...scope, from: key ?? id, edges });
	if (await succeeds(link))
		changed.push(`link changes a row of ${table.entity.tableName}`);
	const unlink = service.unlink({ ...scope, from: key ?? id, dst: "nobody" });
	if (await succeeds(unlink))
		changed.push(`unlink changes a row of ${table.entity.tableName}`);
	// A row of the same id: refused, or it would be taken over.
	const upsert = transaction.transaction((inner) =>
		service.batchUpsert({
			tableName: table.entity.tableName,
			entities: [{ ...canaryFields(table.entity, key ?? id), id }],
			generateEmbeddings: false,
			tenantId,
			transaction: inner,
		}),
	);
	if (await succeeds(upsert, ["DUPLICATE_KEY"]))
		changed.push(`batchUpsert takes over a row of ${table.entity.tableName}`);
	return changed;
}

/** Fields as little as the model may take; what it does not take changes nothing either. */
function canaryFields(entity: Entity, text: string): Record<string, unknown> {
	const needed = entity.fields.filter(
		(field) => !(field.nullable || field.defaultValue !== undefined),
	);
	return Object.fromEntries(
		needed.map(({ name, type }) => [
			name,
			type === "text"
				? text
				: isArrayType(type)
					? []
					: definitionOf(type).empty.value,
		]),
	);
}

/** Nothing of that name is the answer to expect; any other failure is one of the check. */
async function succeeds(
	call: Promise<unknown>,
	alsoExpected: readonly string[] = [],
): Promise<boolean> {
	try {
		await call;
		return true;
	} catch (error) {
		const expected = ["VALIDATION", ...alsoExpected];
		if (error instanceof RemError && expected.includes(error.code))
			return false;
		throw error;
	}
}

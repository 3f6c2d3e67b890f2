import { Document, type DocumentInterface } from "@langchain/core/documents";
import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import {
	type MaxMarginalRelevanceSearchOptions,
	VectorStore,
} from "@langchain/core/vectorstores";
import { coreOfTenant } from "../buckets/buckets.ts";
import { RemError } from "../errors.ts";
import type { Entity } from "../models/entity.ts";
import type { Field } from "../models/field.ts";
import { toVector } from "../models/vector.ts";
import {
	chooseDiverse,
	passageSimilarities,
} from "../query/passage-similarity.ts";
import type { PostgresService } from "../service/postgres-service.ts";
import type { ServiceScope } from "../service/scope.ts";
import { elementAt, membersOf } from "../util/present.ts";
import { quoted } from "../util/suggest.ts";
import { uuidv7 } from "../util/uuid.ts";
import { type BoundScope, scopeAmong } from "../verbs/bound-scope.ts";
import { resolveSearch } from "../verbs/search.ts";
import { checkSource, RemEmbeddings } from "./embeddings.ts";
import { type RemFilter, toWhere } from "./where.ts";

/** Where a store's documents are. */
export interface RemVectorStoreConfig extends BoundScope {
	readonly service: PostgresService<readonly Entity[]>;
	/** The model whose rows the documents are. */
	readonly entity: Entity;
	/** The field of `pageContent`. @default the model's only embedded field */
	readonly textField?: string;
}

interface AddOptions {
	/** One for each document, instead of its own `id`. */
	readonly ids?: readonly string[];
}

interface DeleteParams {
	readonly ids?: readonly string[];
	readonly filter?: RemFilter;
}

/**
 * One model of a tenant, and optionally a user, as LangChain's vector store. The
 * text of a document is one embedded field; entries of its metadata that are
 * fields of the model are stored in their columns, the others in `metadata`.
 *
 * A document's `id` is the natural key of a model that has one (of one field),
 * else the row's UUID. Adding a document of a known id updates it, and only a
 * changed text is embedded again. Scores are cosine similarities: higher is nearer.
 *
 * @example
 * const store = new RemVectorStore({ service, entity: Document, tenantId: "acme" })
 * await store.addDocuments([{ id: "deploy", pageContent: "How we deploy …", metadata: { team: "platform" } }])
 * await store.similaritySearch("rollout of a release", 4, { team: "platform" })
 */
export class RemVectorStore extends VectorStore {
	declare FilterType: RemFilter;
	readonly #config: RemVectorStoreConfig;
	readonly #scope: ServiceScope<readonly Entity[]>;
	readonly #textField: string;

	constructor(config: RemVectorStoreConfig) {
		const { service, entity } = config;
		super(
			new RemEmbeddings((texts, purpose) =>
				service.core.embedder.generateBatch(texts, { purpose }),
			),
			{},
		);
		this.#config = config;
		this.#scope = service.scope(scopeAmong(config));
		this.#textField = textFieldOf(entity, config.textField);
		keyFieldOf(entity);
	}

	_vectorstoreType(): string {
		return "remdb";
	}

	/** Embeds what changed, and writes the documents; their ids, in their order. */
	override addDocuments(
		documents: DocumentInterface[],
		options: AddOptions = {},
	): Promise<string[]> {
		return this.#add(documents, options);
	}

	/** The same with ready vectors: no provider is asked. */
	override addVectors(
		vectors: number[][],
		documents: DocumentInterface[],
		options: AddOptions = {},
	): Promise<string[]> {
		if (vectors.length !== documents.length)
			throw new RemError(
				"VALIDATION",
				`addVectors got ${vectors.length} vectors for ${documents.length} documents`,
			);
		return this.#add(documents, options, vectors);
	}

	/** Deletes the documents of the ids, or those that a filter finds. */
	override async delete({ ids, filter }: DeleteParams = {}): Promise<void> {
		if (ids === undefined && filter === undefined)
			throw new RemError("VALIDATION", "delete needs ids or a filter", {
				hint: 'store.delete({ ids: ["doc-1"] }) or store.delete({ filter: { source: "wiki" } })',
			});
		const { entity } = this.#config;
		const rows = this.#scope.repository(entity);
		const where = {
			AND: [
				...(ids === undefined
					? []
					: [{ [keyFieldOf(entity)?.name ?? "id"]: { in: [...ids] } }]),
				...(filter === undefined ? [] : [toWhere(entity, filter)]),
			],
		};
		const found: string[] = [];
		for await (const { id } of rows.iterate(where as never)) found.push(id);
		if (found.length > 0) await rows.delete(found);
	}

	/** Documents nearest to the vector, with their cosine similarity, nearest first. */
	override async similaritySearchVectorWithScore(
		query: number[],
		k: number,
		filter?: RemFilter,
	): Promise<[Document, number][]> {
		const hits = await this.#scope.vectorSearch({
			...this.#searched(filter),
			queryEmbedding: query,
			limit: k,
		});
		return hits.map((hit) => [this.#toDocument(hit), hit.similarity]);
	}

	/** Documents near to the query and different from each other; `lambda` 1 (only near) to 0 (only different), 0.5 where it is left out. */
	override async maxMarginalRelevanceSearch(
		query: string,
		{
			k,
			fetchK = 20,
			lambda = 0.5,
			filter,
		}: MaxMarginalRelevanceSearchOptions<RemFilter>,
	): Promise<Document[]> {
		if (!(lambda >= 0 && lambda <= 1))
			throw new RemError(
				"VALIDATION",
				`lambda is ${lambda}, expected a number from 0 to 1`,
			);
		const { service, tenantId, userId } = this.#config;
		const vector = toVector(await this.embeddings.embedQuery(query));
		const call = {
			...this.#searched(filter),
			queryEmbedding: vector,
			limit: Math.max(k, fetchK),
		};
		const hits = await this.#scope.vectorSearch(call);
		const { search } = await resolveSearch(
			coreOfTenant(service.core, tenantId),
			{ ...call, tenantId, ...(userId == null ? {} : { userId }) },
			{ query: undefined, fieldName: this.#textField },
		);
		const similarities = await passageSimilarities(
			{ ...search, queryEmbedding: vector },
			hits.map(({ id }) => id),
		);
		const chosen = chooseDiverse({
			relevance: hits.map(({ similarity }) => similarity),
			similarities,
			lambda,
			limit: k,
		});
		return chosen.map((at) => this.#toDocument(elementAt(hits, at)));
	}

	/** A store with these texts. The embeddings must be those that the service embeds with. */
	static override async fromTexts(
		texts: string[],
		metadatas: object[] | object,
		embeddings: EmbeddingsInterface,
		config: RemVectorStoreConfig,
	): Promise<RemVectorStore> {
		const documents = texts.map(
			(pageContent, at) =>
				new Document({
					pageContent,
					metadata: Array.isArray(metadatas) ? metadatas[at] : metadatas,
				}),
		);
		return RemVectorStore.fromDocuments(documents, embeddings, config);
	}

	/** A store with these documents. The embeddings must be those that the service embeds with. */
	static override async fromDocuments(
		documents: DocumentInterface[],
		embeddings: EmbeddingsInterface,
		config: RemVectorStoreConfig,
	): Promise<RemVectorStore> {
		checkSource(embeddings, config.service.core.embedder.provider({}));
		const store = new RemVectorStore(config);
		await store.addDocuments(documents);
		return store;
	}

	async #add(
		documents: readonly DocumentInterface[],
		{ ids }: AddOptions,
		vectors?: readonly number[][],
	): Promise<string[]> {
		if (ids !== undefined && ids.length !== documents.length)
			throw new RemError(
				"VALIDATION",
				`got ${ids.length} ids for ${documents.length} documents`,
			);
		if (documents.length === 0) return [];
		const { entity } = this.#config;
		const given = documents.map((document, at) =>
			this.#toRow(document, ids?.[at] ?? document.id, vectors?.[at]),
		);
		await this.#scope.batchUpsert({
			tableName: entity.tableName,
			entities: given.map(({ row }) => row as never),
		});
		return given.map(({ id }) => id);
	}

	#toRow(
		{ pageContent, metadata }: DocumentInterface,
		given: string | undefined,
		vector: readonly number[] | undefined,
	): { readonly id: string; readonly row: object } {
		const { entity } = this.#config;
		const fields: Record<string, unknown> = {};
		const others: Record<string, unknown> = {};
		for (const [name, value] of Object.entries(metadata ?? {}))
			if (isOwnField(entity, name)) fields[name] = value;
			else others[name] = value;
		const key = keyFieldOf(entity)?.name ?? "id";
		const id = given ?? (fields[key] as string | undefined) ?? uuidv7();
		return {
			id,
			row: {
				...fields,
				metadata: others,
				[this.#textField]: pageContent,
				[key]: id,
				...(vector === undefined
					? {}
					: { vectors: { [this.#textField]: vector } }),
			},
		};
	}

	#toDocument(row: object): Document {
		const { entity } = this.#config;
		const values = membersOf(row);
		const key = keyFieldOf(entity)?.name ?? "id";
		const fields = entity.fields
			.map(({ name }) => name)
			.filter(
				(name) =>
					name !== this.#textField && name !== key && values[name] !== null,
			);
		return new Document({
			pageContent: String(values[this.#textField] ?? ""),
			metadata: {
				...membersOf(values.metadata),
				...Object.fromEntries(fields.map((name) => [name, values[name]])),
			},
			id: String(values[key]),
		});
	}

	#searched(filter: RemFilter | undefined) {
		const { entity } = this.#config;
		return {
			tableName: entity.tableName,
			fieldName: this.#textField,
			...(filter === undefined ? {} : { where: toWhere(entity, filter) }),
		};
	}
}

function textFieldOf(entity: Entity, given: string | undefined): string {
	const names = entity.embedFields.map(({ name }) => name);
	const [only, ...more] = names;
	const name = given ?? (more.length === 0 ? only : undefined);
	if (name !== undefined && names.includes(name)) return name;
	throw new RemError(
		"VALIDATION",
		given === undefined
			? `"${entity.tableName}" has ${names.length} embedded fields (${names.join(", ") || "none"})`
			: `${quoted(given)} is not an embedded field of "${entity.tableName}"`,
		{ hint: "name the field of pageContent with textField" },
	);
}

/** The natural key that is a document's id; `undefined`: the row's UUID is. */
function keyFieldOf({ tableName, keyFields }: Entity): Field | undefined {
	const [key, ...more] = keyFields ?? [];
	if (more.length === 0) return key;
	throw new RemError(
		"VALIDATION",
		`the natural key of "${tableName}" has several fields: a document has one id`,
		{ hint: "use a model with a key of one field, or with none" },
	);
}

function isOwnField(entity: Entity, name: string): boolean {
	return entity.fields.some((field) => field.name === name);
}

import { Document } from "@langchain/core/documents";
import {
	BaseRetriever,
	type BaseRetrieverInput,
} from "@langchain/core/retrievers";
import type { Entity } from "../models/entity.ts";
import type { RecallReason } from "../query/recall/fuse.ts";
import type { PostgresService } from "../service/postgres-service.ts";
import type { ServiceScope } from "../service/scope.ts";
import { type BoundScope, scopeAmong } from "../verbs/bound-scope.ts";

export interface RemRetrieverInput extends BaseRetrieverInput, BoundScope {
	readonly service: PostgresService<readonly Entity[]>;
	/** Only entities of these tables. @default all */
	readonly entityTypes?: readonly string[];
	/** Documents, 1 to 200. @default 10; with `maxTokens` alone as many as fit */
	readonly k?: number;
	/** Tokens of all texts together, estimated. @default 4000 */
	readonly maxTokens?: number;
}

/** What the retriever states of a document. */
export interface RecalledMetadata {
	readonly entityType: string;
	readonly entityKey: string | null;
	readonly score: number;
	readonly isWhole: boolean;
	readonly reasons: readonly RecallReason[];
}

/**
 * The whole memory of a tenant, and optionally a user, as a retriever: names, search
 * of every table and edges in one recall. `id` is the row's UUID.
 *
 * @example
 * const retriever = new RemRetriever({ service, tenantId: "acme", maxTokens: 2000 })
 * await retriever.invoke("who runs the payments migration?")
 */
export class RemRetriever extends BaseRetriever<RecalledMetadata> {
	override lc_namespace = ["remdb", "langchain"];
	readonly #scope: ServiceScope<readonly Entity[]>;
	readonly #options: {
		readonly tables?: readonly string[];
		readonly limit?: number;
		readonly maxTokens?: number;
	};

	static override lc_name(): string {
		return "RemRetriever";
	}

	constructor(given: RemRetrieverInput) {
		const {
			service,
			tenantId: _tenantId,
			userId: _userId,
			entityTypes,
			k,
			maxTokens,
			...input
		} = given;
		super(input);
		this.#scope = service.scope(scopeAmong(given));
		this.#options = {
			...(entityTypes === undefined ? {} : { tables: entityTypes }),
			...(k === undefined ? {} : { limit: k }),
			...(maxTokens === undefined ? {} : { maxTokens }),
		};
	}

	override async _getRelevantDocuments(
		query: string,
	): Promise<Document<RecalledMetadata>[]> {
		const { items } = await this.#scope.recall({ query, ...this.#options });
		return items.map(
			({ entityType, entityKey, entityId, text, score, isWhole, reasons }) =>
				new Document({
					pageContent: text,
					metadata: { entityType, entityKey, score, isWhole, reasons },
					id: entityId,
				}),
		);
	}
}

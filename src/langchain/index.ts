/**
 * A vector store, a retriever and embeddings for LangChain.
 *
 * @module remdb/langchain
 */
export {
	type FromLangChainOptions,
	fromLangChain,
	RemEmbeddings,
} from "./embeddings.ts";
export {
	type RecalledMetadata,
	RemRetriever,
	type RemRetrieverInput,
} from "./retriever.ts";
export { RemVectorStore, type RemVectorStoreConfig } from "./vector-store.ts";
export type { RemFilter } from "./where.ts";

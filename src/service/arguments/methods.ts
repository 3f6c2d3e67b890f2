import { BackgroundIndexer } from "../../indexer/background-indexer.ts";
import { KvCache } from "../../kv/kv-cache.ts";
import { Registry } from "../../models/registry.ts";
import { Embeddings } from "../../core/embeddings.ts";
import { SchemaLifecycle } from "../../core/schema-lifecycle.ts";
import type { MethodArguments } from "../../calls/arguments.ts";
import { guard } from "./guard.ts";
import {
	embeddingsMethods,
	indexerMethods,
	kvMethods,
	registryMethods,
	schemaMethods,
} from "./part-methods.ts";
import { repositoryMethods } from "./repository-methods.ts";
import { serviceMethods } from "./service-methods.ts";

/** Every public method by its class: what it takes. A method without an entry fails a test. */
export const publicMethods = {
	PostgresService: serviceMethods,
	Repository: repositoryMethods,
	KvCache: kvMethods,
	BackgroundIndexer: indexerMethods,
	SchemaLifecycle: schemaMethods,
	Embeddings: embeddingsMethods,
	Registry: registryMethods,
} as const satisfies Readonly<
	Record<string, Readonly<Record<string, MethodArguments>>>
>;

/** Methods that only this library calls, marked `@internal` where they are written. */
export const internalMethods: Readonly<
	Partial<Record<keyof typeof publicMethods, readonly string[]>>
> = {
	KvCache: [
		"rebuildInBackground",
		"settle",
		"sources",
		"noticeEmptied",
		"catchUp",
	],
	BackgroundIndexer: ["bulkLoad"],
	SchemaLifecycle: ["migrate"],
	Embeddings: ["open", "wake", "adopt", "tellMismatch", "checkProvider"],
};

/** Makes every public method check its arguments; once, when the classes are loaded. */
export function guardMethods(
	servicePrototype: object,
	repositoryPrototype: object,
): void {
	guard(servicePrototype, serviceMethods);
	guard(repositoryPrototype, repositoryMethods);
	guard(KvCache.prototype, kvMethods);
	guard(BackgroundIndexer.prototype, indexerMethods);
	guard(SchemaLifecycle.prototype, schemaMethods);
	guard(Embeddings.prototype, embeddingsMethods);
	guard(Registry.prototype, registryMethods);
}

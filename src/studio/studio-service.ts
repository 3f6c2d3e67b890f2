import type { PostgresService } from "../service/postgres-service.ts";
import type { AnyService } from "../service/repository.ts";
import type { BoundScope } from "../verbs/bound-scope.ts";
import type { Models } from "../verbs/call-options.ts";

/** What the studio uses of a service, whatever its models. */
export interface StudioService
	extends AnyService,
		Pick<
			PostgresService<Models>,
			| "capabilities"
			| "activity"
			| "registry"
			| "kv"
			| "indexer"
			| "embeddings"
			| "doctor"
		> {
	scope(scope: BoundScope): unknown;
}

import type { RemError } from "../errors.ts";
import type { AnyService } from "../service/repository.ts";
import {
	type Catalogue,
	openCatalogue,
	type Surface,
} from "../tools/catalogue.ts";
import type { MemoryScope } from "../tools/tool.ts";
import type { BoundScope } from "../verbs/bound-scope.ts";

/** Whose memory a connection reaches, and whether it may write. */
export interface Identity extends BoundScope {
	readonly isReadOnly: boolean;
	/** Distinguishes identities: connections of one never get another's session. */
	readonly name: string;
}

/** A service that is offered as the memory of one tenant. */
interface ScopedService extends AnyService {
	scope(scope: BoundScope): unknown;
}

export interface MemoryOptions {
	readonly service: ScopedService;
	readonly version: string;
	readonly isReadOnly: boolean;
	readonly tables?: readonly string[] | undefined;
	readonly surface?: Surface | undefined;
	/** Estimated tokens of an answer. @default 4000 */
	readonly maxTokens?: number | undefined;
	/** Sets up a database that turns out to lack its tables; the call is run again. */
	readonly prepare?: ((error: RemError) => Promise<void>) | undefined;
}

/** What one identity reaches. */
export interface OpenMemory {
	readonly scope: MemoryScope;
	readonly catalogue: Catalogue;
}

/** The service's memory, opened for one identity after the other. */
export class Memory {
	readonly options: MemoryOptions;
	readonly #writing: Catalogue;
	readonly #reading: Catalogue;

	/** Throws `UNKNOWN_ENTITY` for a table that no model has. */
	constructor(options: MemoryOptions) {
		const { service, isReadOnly, tables, surface } = options;
		this.options = options;
		const more = {
			...(tables === undefined ? {} : { tables }),
			...(surface === undefined ? {} : { surface }),
		};
		const open = (readOnly: boolean) =>
			openCatalogue(service.registry, { readOnly, ...more });
		this.#reading = open(true);
		this.#writing = isReadOnly ? this.#reading : open(false);
	}

	open({ tenantId, userId, isReadOnly }: Identity): OpenMemory {
		const scope = this.options.service.scope({
			tenantId,
			...(userId === undefined ? {} : { userId }),
		});
		return {
			scope: scope as MemoryScope,
			catalogue: isReadOnly ? this.#reading : this.#writing,
		};
	}
}

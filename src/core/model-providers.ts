import type { Database } from "../db/database.ts";
import type { OpenProvider } from "../embed-sync/work-on-lease.ts";
import { builtInProviders } from "../embeddings/resolve-provider.ts";
import { RemError } from "../errors.ts";
import type { EntityTable, Registry } from "../models/registry.ts";
import { isSameSpace, spaceText, type VectorSpace } from "../models/vector.ts";
import type { Settings } from "../settings/settings.ts";
import type { Embedder } from "./embedder.ts";
import type { ModelChoice } from "./model-choice.ts";
import {
	type DifferingModel,
	formerModel,
	readDifferingModels,
} from "./other-models.ts";

/** What the parts of {@link Embeddings} work with. */
export interface ModelParts {
	readonly db: Database;
	readonly registry: Registry;
	readonly settings: Settings;
	readonly embedder: Embedder;
	readonly models: ModelChoice;
}

/** The providers of the models that are stored, which may differ from the configured one. */
export class ModelProviders {
	readonly #parts: ModelParts;

	constructor(parts: ModelParts) {
		this.#parts = parts;
	}

	/** Throws `PROVIDER_NOT_CONFIGURED` if an upsert into the table could embed nothing; works before the first migration. */
	async check(table: EntityTable): Promise<void> {
		const { db, embedder } = this.#parts;
		try {
			// A table without vectors takes the configured model when it is migrated.
			this.open(embedder.space());
		} catch (error) {
			const active = await this.#parts.models
				.active(db, table)
				.catch(() => undefined);
			if (active === undefined) throw error;
			await this.openFor(table, active);
		}
	}

	/**
	 * The provider of a space that texts of the table, or a query of it,
	 * are embedded in: where the table is set to another model than this service,
	 * the error names both.
	 */
	async openFor(table: EntityTable, space: VectorSpace): Promise<OpenProvider> {
		try {
			return this.open(space);
		} catch (error) {
			const { db, embedder } = this.#parts;
			const configured = embedder.spaceIfKnown();
			const active = await this.#parts.models
				.active(db, table)
				.catch(() => undefined);
			const isSetTo =
				active !== undefined &&
				isSameSpace(active, space) &&
				configured !== undefined &&
				!isSameSpace(configured, space);
			if (!isSetTo || !(error instanceof RemError)) throw error;
			throw otherModel({ table, error, active, configured });
		}
	}

	/** The provider of a space. */
	open(space: VectorSpace): OpenProvider {
		const { embedder } = this.#parts;
		const provider = embedder.provider(space);
		if (provider.dimensions !== space.dimensions)
			throw new RemError(
				"PROVIDER_NOT_CONFIGURED",
				`provider "${space.provider}" makes vectors of ${provider.dimensions} dimensions, those of ${spaceText(space)} are stored`,
				{
					hint: "configure its length, or change the model with sync and switch",
				},
			);
		return { provider, calls: embedder.calls(space) };
	}

	/** Why nothing can be embedded in the space here; `undefined`: it can. */
	whyNot(space: VectorSpace): string | undefined {
		try {
			this.open(space);
			return undefined;
		} catch (error) {
			return toMessage(error);
		}
	}

	/**
	 * Warns when the stored vectors are of another model than the
	 * configured one, or a table without vectors is set to one that cannot be used here.
	 */
	async warnOfMismatch(found?: readonly DifferingModel[]): Promise<void> {
		const { settings, embedder } = this.#parts;
		// A provider of one's own may be registered after this.
		if (embedder.namedSpace() === undefined) return;
		const differing =
			found ??
			(await readDifferingModels({
				...this.#parts,
				schemas: [settings.schema],
			}));
		const others = differing.filter(({ isUsed }) => isUsed);
		embedder.continueWith(formerModel(others));
		const configured = embedder.spaceIfKnown();
		if (configured === undefined) return;
		for (const { tableName, isUsed, ...space } of differing) {
			// A provider of one's own may be registered after this.
			if (isUsed || !builtInProviders.includes(space.provider)) continue;
			const problem = this.whyNot(space);
			if (problem === undefined) continue;
			const { message, hint } = unusedModel({ tableName, space, configured });
			settings.logger.warn(
				{ provider: space.provider, model: space.model },
				`${message}: ${problem}; ${hint}`,
			);
		}
		const different = others
			.filter((other) => !isSameSpace(other, configured))
			.map((other) => `"${other.tableName}" in ${spaceText(other)}`);
		if (different.length > 0)
			settings.logger.warn(
				{
					provider: configured.provider,
					model: configured.model,
					isOtherModel: true,
				},
				`the configured model is ${spaceText(configured)}, but vectors are stored of ${different.join(", ")}: these are searched and written until \`rem embeddings sync --model ${configured.model}\` and \`rem embeddings switch ${configured.model}\``,
			);
	}
}

/** A table that is set to a model which cannot be used here, and differs from the configured one. */
function otherModel({
	table: {
		entity: { tableName },
	},
	error,
	active,
	configured,
}: {
	readonly table: EntityTable;
	readonly error: RemError;
	readonly active: VectorSpace;
	readonly configured: VectorSpace;
}): RemError {
	const { message, hint } = unusedModel({
		tableName,
		space: active,
		configured,
	});
	return new RemError(error.code, `${message}: ${error.message}`, {
		hint: `${hint}; ${ofVectors(configured)}`,
		cause: error,
	});
}

function unusedModel({
	tableName,
	space,
	configured,
}: {
	readonly tableName: string;
	readonly space: VectorSpace;
	readonly configured: VectorSpace;
}): { readonly message: string; readonly hint: string } {
	return {
		message: `table "${tableName}" is set to ${spaceText(space)} in the database, this service to ${spaceText(configured)}`,
		hint: `while the table has no vectors, migrate() of this service sets it to the configured model, as does rem migrate with EMBEDDING__PROVIDER=${configured.provider}`,
	};
}

function ofVectors({ model }: VectorSpace): string {
	return `once it has vectors: rem embeddings sync --model ${model} and rem embeddings switch ${model}`;
}

function toMessage(error: unknown): string {
	return error instanceof RemError ? error.message : String(error);
}

import { RemError } from "../errors.ts";
import { suggest } from "../util/suggest.ts";

/** A model whose vectors we know. */
export interface KnownModel {
	/** Length of its vectors. */
	readonly dimensions: number;
	/** Other lengths it can be asked for. @default none */
	readonly others?:
		| "any"
		| "shorter"
		| { readonly min: number }
		| readonly number[];
}

export type KnownModels = Readonly<Record<string, KnownModel>>;

export function knownModel(
	models: KnownModels,
	model: string,
): KnownModel | undefined {
	return Object.hasOwn(models, model) ? models[model] : undefined;
}

/** The length of the model's vectors: as asked for, if the model can do that, else its own. */
export function vectorLength(
	models: KnownModels,
	model: string,
	asked: number | undefined,
): number {
	const known = knownModel(models, model);
	const length = asked ?? known?.dimensions;
	if (length === undefined) throw lengthUnknown(model, Object.keys(models));
	const problem = known && lengthProblem(known, length);
	if (problem === undefined) return length;
	throw new RemError(
		"CONFIG_INVALID",
		`model "${model}" has no vectors of ${length} dimensions`,
		{ hint: problem },
	);
}

function lengthUnknown(model: string, known: readonly string[]): RemError {
	const hint = "set EMBEDDING__DIMENSIONS, or the option dimensions, to it";
	const nearest = suggest(model, known);
	return new RemError(
		"PROVIDER_NOT_CONFIGURED",
		`the length of the vectors of model "${model}" is unknown`,
		{ hint: nearest === undefined ? hint : `${hint}; ${nearest}` },
	);
}

function lengthProblem(
	{ dimensions, others }: KnownModel,
	asked: number,
): string | undefined {
	if (asked === dimensions || others === "any") return undefined;
	if (others === undefined) return `it has ${dimensions}`;
	if (others === "shorter")
		return asked < dimensions ? undefined : `it has at most ${dimensions}`;
	if ("min" in others)
		return asked >= others.min
			? undefined
			: `it has ${dimensions}, or any other from ${others.min}`;
	return others.includes(asked)
		? undefined
		: `it has ${[...others, dimensions].join(", ")}`;
}

/** A vector as a caller may give it; it is stored in 32-bit floats. */
export type VectorInput = Float32Array | Float64Array | readonly number[];

export function toVector(given: VectorInput): Float32Array {
	return given instanceof Float32Array ? given : Float32Array.from(given);
}

/** A vector, and the part of a text that it was made from. */
export interface PassageVector {
	readonly vector: Float32Array;
	/** Place of the part's first character, from 0, in code points, as PostgreSQL counts; `null`: the whole text. */
	readonly start: number | null;
	/** Place after its last character. */
	readonly end: number | null;
}

/** Vectors that can be compared with each other: those of one provider, model and length. */
export interface VectorSpace {
	readonly provider: string;
	readonly model: string;
	readonly dimensions: number;
}

export function isSameSpace(a: VectorSpace, b: VectorSpace): boolean {
	return (
		a.provider === b.provider &&
		a.model === b.model &&
		a.dimensions === b.dimensions
	);
}

/** `openai text-embedding-3-small (1536)` */
export function spaceText({
	provider,
	model,
	dimensions,
}: VectorSpace): string {
	return `${provider} ${model} (${dimensions})`;
}

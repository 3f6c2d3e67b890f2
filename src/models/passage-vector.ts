/** A vector, and the part of a text that it was made from. */
export interface PassageVector {
	readonly vector: Float32Array;
	/** Place of the part's first character, from 0, in code points, as PostgreSQL counts; `null`: the whole text. */
	readonly start: number | null;
	/** Place after its last character. */
	readonly end: number | null;
}

/** Vectors that can be compared with each other: those of one provider, model and length. */
export interface VectorSpace {
	readonly provider: string;
	readonly model: string;
	readonly dimensions: number;
}

/** A vector as a caller may give it; it is stored in 32-bit floats. */
export type VectorInput = Float32Array | Float64Array | readonly number[];

export function toVector(given: VectorInput): Float32Array {
	return given instanceof Float32Array ? given : Float32Array.from(given);
}

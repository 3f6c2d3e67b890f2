import { randomFrom } from "./random.ts";

/** Vectors in clusters, as those of real texts are, of tenants whose sizes follow Zipf's law. */
export interface TenantVectors {
	readonly dimensions: number;
	/** Largest first: `t0` has as many as all the smallest half together. */
	readonly tenants: readonly TenantSize[];
	vector(): Float32Array;
	/** A vector near the given one, as a question's is near its answer's. */
	near(vector: Float32Array): Float32Array;
}

export interface TenantSize {
	readonly tenantId: string;
	readonly size: number;
}

const tenantCount = 100;
const clusters = 500;
const spread = 0.8;
const distance = 0.5;

export function tenantVectors(
	dimensions: number,
	count: number,
): TenantVectors {
	const gauss = gaussFrom(randomFrom(dimensions));
	const random = randomFrom(dimensions + 1);
	const centres = Array.from({ length: clusters }, () =>
		Float32Array.from({ length: dimensions }, gauss),
	);
	const around = (centre: Float32Array, width: number) =>
		centre.map((value) => value + width * gauss());
	return {
		dimensions,
		tenants: zipf(count),
		vector: () =>
			around(centres[Math.floor(random() * clusters)] as Float32Array, spread),
		near: (vector) => around(vector, distance),
	};
}

function zipf(count: number): TenantSize[] {
	const shares = Array.from(
		{ length: tenantCount },
		(_, rank) => 1 / (rank + 1),
	);
	const sum = shares.reduce((total, share) => total + share, 0);
	return shares.map((share, rank) => ({
		tenantId: `t${rank}`,
		size: Math.max(1, Math.round((count * share) / sum)),
	}));
}

/** Box and Muller's transform. */
function gaussFrom(random: () => number): () => number {
	return () =>
		Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

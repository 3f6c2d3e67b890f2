import { randomFrom } from "./random.ts";

/** What an embedding model returns most often. */
export const dimensions = 1536;

export interface GeneratedEntity {
	readonly name: string;
	readonly description: string;
	readonly content: string;
	readonly graphEdges: { dst: string; rel_type: string; weight: number }[];
	readonly metadata: Record<string, unknown>;
}

/**
 * Entities of about 1.6 KB: a name, 30 words of description, 150 words of
 * content, two edges and a little metadata.
 */
export function generateEntities(count: number, seed = 1): GeneratedEntity[] {
	const random = randomFrom(seed);
	const words = (length: number) =>
		Array.from({ length }, () => pick(random)).join(" ");
	const name = (index: number) =>
		`${pick(random)}-${pick(random)}-${pick(random)}-${index}`;
	return Array.from({ length: count }, (_, index) => ({
		name: name(index),
		description: words(30),
		content: words(150),
		graphEdges: [
			{ dst: name(index), rel_type: "mentions", weight: 0.5 },
			{ dst: name(index), rel_type: "part_of", weight: 1 },
		],
		metadata: { source: pick(random), lang: "en", tags: [pick(random)] },
	}));
}

/** Vectors of length 1, one after the other in one buffer, as a provider's answer is decoded. */
export function generateVectors(count: number, seed = 2): Float32Array[] {
	const random = randomFrom(seed);
	return Array.from({ length: count }, () => {
		const vector = new Float32Array(dimensions);
		let sum = 0;
		for (let at = 0; at < dimensions; at++) {
			const value = random() - 0.5;
			vector[at] = value;
			sum += value * value;
		}
		const length = Math.sqrt(sum);
		return vector.map((value) => value / length);
	});
}

function pick(random: () => number): string {
	return vocabulary[Math.floor(random() * vocabulary.length)] as string;
}

const vocabulary =
	"alpha beta gamma delta design guide api kubernetes deploy postgres vector search memory agent session project sarah chen acme report quarterly budget meeting notes review plan roadmap customer support incident database schema migration index cache fuzzy lookup entity resource moment user model embedding pipeline batch upsert trigger python typescript node worker queue retry backoff latency throughput storage network security policy audit invoice contract legal finance growth marketing sales engineering research machine learning documentation tutorial reference example sample draft final archive weekly monthly daily summary overview detail appendix".split(
		" ",
	);

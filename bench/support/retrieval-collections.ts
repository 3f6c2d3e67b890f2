import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JudgedQuery } from "remdb";

/** Documents, and queries whose right answers are known. */
export interface Collection {
	readonly name: string;
	readonly documents: readonly CollectionDocument[];
	readonly queries: readonly JudgedQuery[];
}

interface CollectionDocument {
	readonly name: string;
	readonly content: string;
}

/** The repository's own, and every file of `retrieval` in REM_TEST_DATA, if it is set. */
export function readCollections(): Collection[] {
	return [readOwn(), ...filesOfTestData().map(readFile)];
}

function filesOfTestData(): string[] {
	const data = process.env.REM_TEST_DATA;
	if (data === undefined) return [];
	const folder = join(data, "retrieval");
	if (!existsSync(folder)) return [];
	return readdirSync(folder)
		.filter((name) => name.endsWith(".json"))
		.sort()
		.map((name) => join(folder, name));
}

/** At most `count` queries of the collection, evenly spread: the same in every run. */
export function sampled(collection: Collection, count: number): Collection {
	const { queries } = collection;
	if (queries.length <= count) return collection;
	const step = queries.length / count;
	return {
		...collection,
		queries: Array.from(
			{ length: count },
			(_, at) => queries[Math.floor(at * step)] as JudgedQuery,
		),
	};
}

function readOwn(): Collection {
	const read = <T>(name: string): T[] =>
		readFileSync(
			fileURLToPath(
				new URL(`../../samples/retrieval/${name}.jsonl`, import.meta.url),
			),
			"utf8",
		)
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line) as T);
	return {
		name: "samples",
		documents: read<CollectionDocument>("notes"),
		queries: read<JudgedQuery>("queries"),
	};
}

interface CollectionFile {
	readonly documents: readonly {
		readonly id: string;
		readonly title?: string;
		readonly text: string;
	}[];
	readonly queries: readonly {
		readonly text: string;
		readonly relevant: readonly string[];
	}[];
}

function readFile(file: string): Collection {
	const { documents, queries }: CollectionFile = JSON.parse(
		readFileSync(file, "utf8"),
	);
	return {
		name: basename(file, ".json"),
		documents: documents.map(({ id, title = "", text }) => ({
			name: id,
			// Some texts begin with their title.
			content: text.startsWith(title) ? text : `${title} ${text}`,
		})),
		// A question that occurs twice counts once.
		queries: [
			...new Map(
				queries.map(({ text, relevant }) => [
					text,
					{ query: text, relevant: [...new Set(relevant)] },
				]),
			).values(),
		],
	};
}

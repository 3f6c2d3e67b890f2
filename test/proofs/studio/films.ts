import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import {
	defineEntity,
	type EmbeddingOptions,
	type NewRow,
	PostgresService,
} from "../../../src/index.ts";

export const Film = defineEntity(
	"films",
	{
		name: z.string(),
		extract: z.string().nullish().meta({ embed: true }),
		year: z.number().int(),
		genres: z.array(z.string()).default([]),
		rating: z.number().min(0).max(10).nullish(),
	},
	{ entityKeyField: "name" },
);

export const Person = defineEntity(
	"people",
	{ name: z.string(), films: z.number().int() },
	{ entityKeyField: "name" },
);

/** The same models, as the file that `--models` names. */
export const modelsFile = `
import * as z from "zod";
import { defineEntity } from "remdb";
export const Film = defineEntity(
	"films",
	{
		name: z.string(),
		extract: z.string().nullish().meta({ embed: true }),
		year: z.number().int(),
		genres: z.array(z.string()).default([]),
		rating: z.number().min(0).max(10).nullish(),
	},
	{ entityKeyField: "name" },
);
export const Person = defineEntity(
	"people",
	{ name: z.string(), films: z.number().int() },
	{ entityKeyField: "name" },
);
`;

export const tenantId = "films";

interface ListedFilm {
	readonly title: string;
	readonly year: number;
	readonly cast: readonly string[];
	readonly genres: readonly string[];
	readonly extract?: string;
}

/** Of the real data, so many films with their people; everywhere else a few that were made up. */
function filmData(limit: number): {
	readonly films: readonly NewRow<typeof Film>[];
	readonly people: readonly NewRow<typeof Person>[];
} {
	const listed = listedFilms().slice(0, limit);
	const films = new Map(
		listed.map((film): [string, NewRow<typeof Film>] => [
			nameOf(film),
			{
				name: nameOf(film),
				extract: film.extract ?? null,
				year: film.year,
				genres: [...film.genres],
				graphEdges: film.cast.map((dst) => ({ dst, rel_type: "stars" })),
			},
		]),
	);
	const roles = new Map<string, string[]>();
	for (const film of listed)
		for (const name of film.cast)
			roles.set(name, [...(roles.get(name) ?? []), nameOf(film)]);
	const people = [...roles].map(
		([name, films]): NewRow<typeof Person> => ({
			name,
			films: films.length,
			graphEdges: films.map((dst) => ({ dst, rel_type: "starred_in" })),
		}),
	);
	return { films: [...films.values()], people };
}

function nameOf({ title, year }: ListedFilm): string {
	return `${title} (${year})`;
}

function listedFilms(): readonly ListedFilm[] {
	const folder = process.env.REM_TEST_DATA;
	const file = folder && join(folder, "movies-1980s.json");
	if (file === undefined || !existsSync(file)) return madeUp;
	return JSON.parse(readFileSync(file, "utf8")) as ListedFilm[];
}

/** What the tests look for is in the real data as well. */
const madeUp: readonly ListedFilm[] = [
	{
		title: "Airplane!",
		year: 1980,
		cast: ["Robert Hays", "Julie Hagerty", "Leslie Nielsen"],
		genres: ["Comedy", "Satire"],
		extract:
			"A parody of disaster films: a former pilot who is afraid to fly must land an airliner whose crew has fallen ill.",
	},
	{
		title: "Blade Runner",
		year: 1982,
		cast: ["Harrison Ford", "Rutger Hauer", "Sean Young"],
		genres: ["Science Fiction"],
		extract:
			"In a dark future Los Angeles a policeman hunts artificial humans who have escaped to Earth.",
	},
	{
		title: "The Naked Gun: From the Files of Police Squad!",
		year: 1988,
		cast: ["Leslie Nielsen", "Priscilla Presley", "George Kennedy"],
		genres: ["Comedy"],
		extract: "A clumsy policeman foils a plot to assassinate the Queen.",
	},
	{
		title: "Raiders of the Lost Ark",
		year: 1981,
		cast: ["Harrison Ford", "Karen Allen"],
		genres: ["Action", "Adventure"],
		extract: "An archaeologist looks for the Ark of the Covenant.",
	},
	{
		title: "Alien Dead",
		year: 1980,
		cast: ["Buster Crabbe"],
		genres: ["Horror"],
	},
	...Array.from({ length: 60 }, (_, at) => ({
		title: `Made Up ${at + 1}`,
		year: 1980 + (at % 10),
		cast: [`Actor ${at % 7}`, `Actor ${(at + 3) % 11}`],
		genres: ["Drama"],
		extract: `The ${at + 1}th story about a town by the sea and the people in it.`,
	})),
];

type FilmService = PostgresService<readonly [typeof Film, typeof Person]>;

/** Runs something with a service of the film models, and closes it. */
export async function withService<T>(
	url: string,
	work: (service: FilmService) => Promise<T>,
	embedding: EmbeddingOptions = { provider: "local" },
): Promise<T> {
	const service = await PostgresService.connect({
		connectionString: url,
		models: [Film, Person],
		embedding,
		defaultTenant: tenantId,
	});
	try {
		return await work(service);
	} finally {
		await service.close();
	}
}

/** Creates the tables and loads films and people. */
export async function loadFilms(
	url: string,
	limit = 600,
	embedding?: EmbeddingOptions,
): Promise<void> {
	const { films, people } = filmData(limit);
	const load = async (service: FilmService) => {
		await service.migrate();
		await service.batchUpsert({ tableName: "films", entities: films });
		await service.batchUpsert({ tableName: "people", entities: people });
	};
	await withService(url, load, embedding);
}

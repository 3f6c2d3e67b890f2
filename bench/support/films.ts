import { existsSync, readFileSync } from "node:fs";

export interface SearchText {
	readonly name: string;
	readonly content: string;
}

interface Film {
	readonly title: string;
	readonly year: number;
	readonly extract?: string;
}

const files = ["movies-1980s", "movies-1990s", "movies-2010s"];

/** So many film texts of REM_TEST_DATA; once they are used up, the second halves of them. Empty without the data. */
export function filmTexts(count: number): SearchText[] {
	const folder = process.env.REM_TEST_DATA;
	if (folder === undefined || !existsSync(`${folder}/${files[0]}.json`))
		return [];
	const films = files
		.flatMap((name): Film[] =>
			JSON.parse(readFileSync(`${folder}/${name}.json`, "utf8")),
		)
		// A key has 255 characters at most.
		.filter(({ title, extract = "" }) => extract !== "" && title.length < 240);
	return Array.from({ length: count }, (_, at) => {
		const film = films[at % films.length];
		const { title = "", year = 0, extract = "" } = film ?? {};
		const half = Math.floor(at / films.length);
		return {
			name: `${title} (${year}) ${at}`,
			content: half === 0 ? extract : extract.slice(extract.length / 2),
		};
	});
}

export type Language = "ts" | "js";

/** A file of a new project. */
export interface ProjectFile {
	readonly path: string;
	readonly text: string;
}

/** The kind of project: its language, and whether its package.json makes a `.js` file a module. */
export interface ProjectKind {
	readonly language: Language;
	readonly isModule: boolean;
}

/** What `rem init` writes, besides entries of package.json and .gitignore. */
export function projectFiles(kind: ProjectKind): ProjectFile[] {
	const source = kind.language === "ts" ? "ts" : moduleExtension(kind);
	const imported = kind.language === "ts" ? "js" : source;
	return [
		{ path: `models/note.${source}`, text: model },
		{ path: ".env.example", text: environment },
		{ path: "migrations/README.md", text: migrations },
		{ path: `test/notes.test.${source}`, text: projectTest(imported) },
		...(kind.language === "ts"
			? [{ path: "tsconfig.json", text: compilerOptions }]
			: []),
	];
}

/** The compiler writes what the package is; JavaScript is a module by its name. */
function moduleExtension({ isModule }: ProjectKind): "js" | "mjs" {
	return isModule ? "js" : "mjs";
}

export const ignoredPaths = [".rem/", ".env", "node_modules/"];

/** What `npm init` writes as the script `test` where there is none. */
export const placeholderTest = 'echo "Error: no test specified" && exit 1';

/** Scripts of package.json, by name. */
export function projectScripts(kind: ProjectKind): Record<string, string> {
	const built = kind.language === "ts";
	return {
		...(built ? { build: "tsc" } : {}),
		migrate: "rem migrate --models models --migrations migrations",
		test: built
			? "tsc && node --test dist/test/notes.test.js"
			: `node --test test/notes.test.${moduleExtension(kind)}`,
	};
}

const model = `import * as z from "zod";
import { defineEntity } from "remdb";

// Names to look up by, and texts that are embedded: edit, then \`npm run migrate\`.
export const Note = defineEntity(
	"notes",
	{
		title: z.string(),
		content: z.string(), // embeds by default
		year: z.number().int().optional(),
	},
	{ entityKeyField: "title" },
);
`;

const environment = `# Copy to .env, and run commands with: node --env-file=.env …
# Without an address the embedded database in ./.rem is used.
# POSTGRES__CONNECTION_STRING=postgresql://user:password@localhost:5432/app

# Without a key the built-in provider "local" embeds, offline.
# EMBEDDING__PROVIDER=openai
# OPENAI_API_KEY=

# The models of the command rem, so that it needs no --models.
MODELS__PATH=models
`;

const migrations = `# Migrations

SQL files of your own, applied once each in the order of their numbers:
\`001_name.sql\`. \`rem schema diff --models models --migrations migrations --write NAME\`
writes one where the models changed in a way that needs a decision.
`;

const compilerOptions = `${JSON.stringify(
	{
		compilerOptions: {
			target: "es2023",
			module: "nodenext",
			types: ["node"],
			strict: true,
			skipLibCheck: true,
			outDir: "dist",
			rootDir: ".",
		},
		include: ["models", "test"],
	},
	null,
	2,
)}
`;

const projectTest = (
	extension: string,
) => `import assert from "node:assert/strict";
import { test } from "node:test";
import { PostgresService } from "remdb";
import { Note } from "../models/note.${extension}";

test("a note is found by name and by meaning", async () => {
	const service = await PostgresService.connect({
		connectionString: "memory:",
		models: [Note],
		embedding: { provider: "local" },
	});
	try {
		await service.migrate();
		await service.batchUpsert({
			tableName: "notes",
			entities: [
				{ title: "Deploy", content: "How we ship a release to production." },
				{ title: "Lunch", content: "The menu of the week." },
			],
		});
		const found = await service.lookupEntity({ entityKey: "deploy" });
		assert.equal(found?.entityKey, "Deploy");
		const [nearest] = await service.vectorSearch({
			tableName: "notes",
			queryText: "ship a release",
		});
		assert.equal(nearest?.title, "Deploy");
	} finally {
		await service.close();
	}
});
`;

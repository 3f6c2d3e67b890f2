import { type Dirent, readdirSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { RemError } from "../../errors.ts";
import type { Entity } from "../../models/entity.ts";
import { entityFromJsonSchema } from "../../models/json-schema.ts";
import { oneLine } from "../output/plain-text.ts";
import {
	describeProblem,
	type ModelProblem,
	modelProblems,
} from "./model-problems.ts";

/** An entity and the file that exports it, as the user wrote its path. */
interface FoundModel {
	readonly file: string;
	readonly entity: Entity;
}

export interface FoundModels {
	readonly models: readonly FoundModel[];
	/** Everything that is wrong, in files and in definitions. */
	readonly problems: readonly ModelProblem[];
}

/** The entities that the modules export; `VALIDATION` names everything that is wrong. */
export async function loadModels(path: string): Promise<Entity[]> {
	const { models, problems } = await findModels(path);
	if (problems.length === 0) return models.map(({ entity }) => entity);
	throw new RemError("VALIDATION", `the models in "${path}" are not valid`, {
		hint: `rem schema validate --models ${path} lists what is wrong`,
		issues: problems.map((problem) => ({ message: describeProblem(problem) })),
	});
}

/** The same without throwing on what is wrong in the modules. */
export async function findModels(path: string): Promise<FoundModels> {
	const files = findModelFiles(path);
	const load = await moduleLoader();
	const models: FoundModel[] = [];
	const problems: ModelProblem[] = [];
	for (const file of files) {
		try {
			const found = file.endsWith(".json")
				? await readJsonSchemas(file)
				: entitiesOf(await load(file));
			models.push(...found.map((entity) => ({ file, entity })));
		} catch (error) {
			problems.push({ file, message: loadProblem(error) });
		}
	}
	const distinct = distinctModels(models);
	if (distinct.length === 0 && problems.length === 0)
		problems.push({
			file: path,
			message: "exports no model: export what defineEntity returns",
		});
	return {
		models: distinct,
		problems: [...problems, ...modelProblems(distinct)],
	};
}

/**
 * Loads TypeScript and JavaScript alike. `remdb` and `zod` mean this very
 * package and its zod, so that a folder without node_modules works too.
 */
async function moduleLoader(): Promise<(file: string) => Promise<unknown>> {
	const [{ createJiti }, remdb] = await Promise.all([
		import("jiti"),
		import("../../index.ts"),
	]);
	const jiti = createJiti(fileURLToPath(import.meta.url), {
		fsCache: false,
		interopDefault: false,
		virtualModules: { remdb, zod: z, "zod/v4": z },
	});
	return (file) => jiti.import(resolve(file));
}

/** One JSON Schema, or a list of them. */
async function readJsonSchemas(file: string): Promise<Entity[]> {
	const content: unknown = JSON.parse(await readFile(file, "utf8"));
	return [content].flat().map(entityFromJsonSchema);
}

/** What a module exports by name or by default, alone or in arrays. */
function entitiesOf(module: unknown): Entity[] {
	if (typeof module !== "object" || module === null) return [];
	return Object.values(module).flat().filter(isEntity);
}

/** By its shape: two copies of this package may be around. */
function isEntity(value: unknown): value is Entity {
	return (
		typeof value === "object" &&
		value !== null &&
		"tableName" in value &&
		"fieldsByName" in value &&
		value.fieldsByName instanceof Map
	);
}

/** A model that several files export belongs to the first. */
function distinctModels(models: readonly FoundModel[]): FoundModel[] {
	const known = new Set<Entity>();
	return models.filter(({ entity }) => {
		const isNew = !known.has(entity);
		known.add(entity);
		return isNew;
	});
}

function loadProblem(error: unknown): string {
	const message = error instanceof Error ? error.message : String(error);
	return `cannot be loaded: ${oneLine(message)}`;
}

/** The modules of a file or folder, folders below it included, in one order everywhere. */
function findModelFiles(path: string): string[] {
	const files = isFolder(path) ? modulesIn(path) : [path];
	if (files.length > 0) return files;
	throw new RemError("VALIDATION", `no modules in "${path}"`, {
		hint: "models are .ts, .mts, .js or .mjs modules, or JSON Schemas in .schema.json files",
	});
}

function isFolder(path: string): boolean {
	try {
		return statSync(path).isDirectory();
	} catch (cause) {
		throw new RemError("VALIDATION", `no models at "${path}"`, {
			hint: "--models takes a file or a folder",
			cause,
		});
	}
}

function modulesIn(folder: string): string[] {
	const entries = readdirSync(folder, { withFileTypes: true });
	return entries
		.sort((a, b) => (a.name < b.name ? -1 : 1))
		.flatMap((entry) => {
			const path = join(folder, entry.name);
			if (entry.isDirectory()) return isSkipped(entry) ? [] : modulesIn(path);
			return isModule(entry.name) ? [path] : [];
		});
}

function isSkipped({ name }: Dirent): boolean {
	return name.startsWith(".") || name === "node_modules";
}

function isModule(name: string): boolean {
	return (
		name.endsWith(".schema.json") ||
		(/\.m?[tj]s$/.test(name) && !/\.(?:d|test|spec)\.m?[tj]s$/.test(name))
	);
}

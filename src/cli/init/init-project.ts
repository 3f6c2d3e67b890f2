import { constants } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { RemError } from "../../errors.ts";
import { isRecord } from "../../models/checks.ts";
import { membersOf } from "../../util/present.ts";
import {
	ignoredPaths,
	type Language,
	type ProjectKind,
	placeholderTest,
	projectFiles,
	projectScripts,
} from "./project-files.ts";

/** What `rem init` did, by path; parts of a file as `package.json: scripts.test`. */
export interface InitReport {
	readonly written: readonly string[];
	/** What was there already, and stays as it is. */
	readonly left: readonly string[];
}

/**
 * Writes the files of a project into a folder. Nothing that exists is
 * overwritten: files stay, package.json and .gitignore get what they lack.
 */
export async function initProject(
	folder: string,
	language: Language,
	version: string,
): Promise<InitReport> {
	const written: string[] = [];
	const left: string[] = [];
	const note = (path: string, isNew: boolean) =>
		(isNew ? written : left).push(path);
	// Read first: a package.json that is none stops it before anything is written.
	const description = await readPackage(folder);
	const kind: ProjectKind = {
		language,
		isModule: description === undefined || description.type === "module",
	};
	for (const { path, text } of projectFiles(kind))
		note(path, await writeNew(join(folder, path), text));
	await extendIgnored(folder, note);
	await extendPackage(folder, description, { kind, version, note });
	return { written, left };
}

type Note = (path: string, isNew: boolean) => void;

/** Whether the file is new; one that exists stays. */
async function writeNew(path: string, text: string): Promise<boolean> {
	await mkdir(dirname(path), { recursive: true });
	try {
		// Exclusive: also a file that came in between stays.
		await writeFile(path, text, {
			flag: constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY,
		});
		return true;
	} catch (error) {
		if (membersOf(error).code === "EEXIST") return false;
		throw error;
	}
}

async function extendIgnored(folder: string, note: Note): Promise<void> {
	const path = join(folder, ".gitignore");
	const text = (await readText(path)) ?? "";
	const lines = text.split(/\r?\n/).map((line) => line.trim());
	const missing = ignoredPaths.filter(
		(entry) =>
			!lines.includes(entry) && !lines.includes(entry.replace(/\/$/, "")),
	);
	note(".gitignore", missing.length > 0);
	if (missing.length === 0) return;
	const start = text === "" || text.endsWith("\n") ? text : `${text}\n`;
	await writeFile(path, `${start}${missing.join("\n")}\n`);
}

type Package = Readonly<Record<string, unknown>>;

async function readPackage(folder: string): Promise<Package | undefined> {
	const text = await readText(join(folder, "package.json"));
	if (text === undefined) return undefined;
	try {
		const parsed: unknown = JSON.parse(text);
		if (isRecord(parsed)) return parsed;
	} catch {
		// The error below names the file.
	}
	throw new RemError("VALIDATION", "package.json is not a JSON object", {
		hint: "nothing was written; correct it first",
	});
}

async function extendPackage(
	folder: string,
	given: Package | undefined,
	{
		kind,
		version,
		note,
	}: {
		readonly kind: ProjectKind;
		readonly version: string;
		readonly note: Note;
	},
): Promise<void> {
	const base: Package = given ?? {
		name: packageName(folder),
		private: true,
		type: "module",
	};
	const parts = {
		scripts: projectScripts(kind),
		dependencies: { remdb: `^${version}`, zod: "^4.0.0" },
		...(kind.language === "ts"
			? { devDependencies: { "@types/node": "^20.19.0", typescript: ">=5.5" } }
			: {}),
	};
	const merged: Record<string, unknown> = { ...base };
	let isChanged = given === undefined;
	for (const [part, entries] of Object.entries(parts)) {
		const before = ownEntries(base[part]);
		const missing = Object.entries(entries).filter(
			([name]) => !Object.hasOwn(before, name),
		);
		for (const name of Object.keys(entries))
			note(`package.json: ${part}.${name}`, !Object.hasOwn(before, name));
		if (missing.length === 0) continue;
		isChanged = true;
		merged[part] = { ...before, ...Object.fromEntries(missing) };
	}
	if (isChanged)
		await writeFile(
			join(folder, "package.json"),
			`${JSON.stringify(merged, null, 2)}\n`,
		);
}

/** A part of package.json, without what `npm init` put in the place of a test. */
function ownEntries(part: unknown): Package {
	const entries = isRecord(part) ? part : {};
	if (entries.test !== placeholderTest) return entries;
	const { test: _, ...own } = entries;
	return own;
}

/** A name that npm accepts. */
function packageName(folder: string): string {
	const name = basename(resolve(folder))
		.toLowerCase()
		.replace(/[^a-z0-9-]+/g, "-")
		.replace(/^-+|-+$/g, "");
	return name === "" ? "app" : name;
}

async function readText(path: string): Promise<string | undefined> {
	try {
		return await readFile(path, "utf8");
	} catch (error) {
		if (membersOf(error).code === "ENOENT") return undefined;
		throw error;
	}
}

import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { RemError } from "../../errors.ts";
import type { Entity } from "../../models/entity.ts";
import { isJsonNumber } from "../../models/json-number.ts";
import { writeJson } from "../../models/json-text.ts";
import { isObject, membersOf } from "../../util/present.ts";
import { UsageError } from "../failure.ts";
import { linkedKeys, linkType } from "../markdown-links.ts";
import { type AnyService, withReader } from "../open-service.ts";
import type { ScopeOptions } from "../options.ts";
import { counted } from "../output/numbers.ts";
import { Terminal } from "../output/terminal.ts";
import { unwritable } from "../output/unwritable.ts";
import { refuseUndescribed } from "../undescribed-tables.ts";
import { writeWhole } from "./output-file.ts";

export interface ExportCommandOptions extends ScopeOptions {
	readonly table?: readonly string[];
	readonly output: string;
	readonly format: "jsonl" | "markdown";
	readonly vectors?: boolean;
	readonly deleted?: boolean;
}

/** A file a row: its fields as front matter, its content below. */
export async function exportMarkdown(
	options: ExportCommandOptions,
	signal: AbortSignal,
): Promise<void> {
	const { output, vectors, deleted } = options;
	if (output === "-")
		throw new UsageError("--format markdown writes a folder: name it with -o");
	if (vectors || deleted)
		throw new UsageError(
			`--format markdown has no place for ${vectors ? "vectors" : "deleted rows"}: leave out --format`,
		);
	const terminal = new Terminal(options);
	const counts = await withReader(
		terminal,
		{ ...options, embeds: false },
		async (service) => {
			if (options.table === undefined)
				await refuseUndescribed(terminal, service, options);
			const names =
				options.table ??
				service.registry.all().map(({ entity }) => entity.tableName);
			const entities = names.map((name) => service.registry.get(name).entity);
			const written: Record<string, number> = {};
			for (const entity of entities) {
				// The only table needs no folder of its own.
				const folder =
					entities.length === 1 ? output : join(output, entity.tableName);
				written[entity.tableName] = await writeTable(
					{ service, entity, folder },
					options,
					signal,
				);
			}
			return written;
		},
	);
	const found = Object.entries(counts).filter(([, rows]) => rows > 0);
	terminal.show(
		{ folder: output, tables: Object.fromEntries(found) },
		found.map(([name, rows]) => `${name}: ${counted(rows, "file")}`),
	);
}

interface TableToWrite {
	readonly service: AnyService;
	readonly entity: Entity;
	readonly folder: string;
}

async function writeTable(
	{ service, entity, folder }: TableToWrite,
	{ tenant, user }: ExportCommandOptions,
	signal: AbortSignal,
): Promise<number> {
	const rows = service.repository(entity).iterate({
		...(entity.tenantScoped && tenant !== undefined
			? { tenantId: tenant }
			: {}),
		...(user === undefined ? {} : { OR: [{ userId: user }, { userId: null }] }),
	});
	const taken = new Set<string>();
	for await (const row of rows) {
		if (signal.aborted)
			throw new RemError("CANCELLED", "the export was cancelled", {
				hint: `${counted(taken.size, "file")} of "${entity.tableName}" are written`,
			});
		if (taken.size === 0)
			await mkdir(folder, { recursive: true }).catch((cause) => {
				throw unwritable(folder, cause);
			});
		const name = fileName(entity, row, taken);
		await writeWhole(join(folder, name), ({ write }) =>
			write(markdownOf(entity, row)),
		);
	}
	return taken.size;
}

type StoredRow = Readonly<Record<string, unknown>>;

const longestName = 150;

/** By the key, as a file may be named on every system; two that differ in case alone get a number. */
function fileName(entity: Entity, row: StoredRow, taken: Set<string>): string {
	const key =
		entity.keyFields?.map(({ name }) => row[name]).join("#") ?? row.id;
	const safe = String(key).replace(
		// biome-ignore lint/suspicious/noControlCharactersInRegex: no file name has them
		/[\u0000-\u001f<>:"/\\|?*%]|^\.|[. ]$/g,
		(character) =>
			`%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
	);
	const hash = createHash("sha256").update(safe).digest("hex").slice(0, 8);
	const base =
		Buffer.byteLength(safe) > longestName
			? `${[...safe].slice(0, longestName / 4).join("")}~${hash}`
			: safe;
	let name = base;
	for (let at = 2; taken.has(name.toLowerCase()); at++) name = `${base}~${at}`;
	taken.add(name.toLowerCase());
	return `${name}.md`;
}

/** Fields that a file has no use for: who and when is decided where it is loaded. */
const leftOut = new Set([
	"id",
	"tenantId",
	"createdAt",
	"updatedAt",
	"deletedAt",
]);

function markdownOf(entity: Entity, row: StoredRow): string {
	const content = entity.fieldsByName.has("content") ? row.content : undefined;
	const body = typeof content === "string" ? content : "";
	const lines = [...entity.fields, ...entity.fieldsByName.values()]
		.filter((field, at, all) => all.indexOf(field) === at)
		.flatMap(({ name, column }) => {
			const value = name === "graphEdges" ? edgesOf(row, body) : row[name];
			const isBody = name === "content" && body.trim() !== "";
			if (leftOut.has(name) || isBody || isAbsent(name, value)) return [];
			return yamlOf(column, value);
		});
	return `---\n${lines.join("")}---\n\n${body}\n`;
}

/** Those that the links of the body do not make when it is loaded again. */
function edgesOf(row: StoredRow, body: string): readonly unknown[] {
	const { graphEdges } = row;
	if (!Array.isArray(graphEdges)) return [];
	const linked = new Set(linkedKeys(body));
	return graphEdges.filter((edge) => {
		const { dst, rel_type, ...rest } = membersOf(edge);
		const isLink = rel_type === linkType && Object.keys(rest).length === 0;
		return !(isLink && linked.has(String(dst)));
	});
}

function isAbsent(name: string, value: unknown): boolean {
	if (value === null || value === undefined) return true;
	const isSystem = ["graphEdges", "metadata", "tags"].includes(name);
	return isSystem && Object.keys(Object(value)).length === 0;
}

/** A number that JavaScript cannot represent is written by its digits, in JSON, which YAML is too. */
function yamlOf(column: string, value: unknown): string {
	return hasExactNumber(value)
		? `${column}: ${writeJson(value)}\n`
		: stringify({ [column]: value }, { lineWidth: 0 });
}

function hasExactNumber(value: unknown): boolean {
	if (isJsonNumber(value)) return true;
	return isObject(value) && Object.values(value).some(hasExactNumber);
}

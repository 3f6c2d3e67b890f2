import * as z from "zod";
import { RemError } from "../errors.ts";
import type { Registry } from "../models/registry.ts";
import { membersOf } from "../util/present.ts";
import { quoted, suggest } from "../util/suggest.ts";
import { about } from "./about.ts";
import { forget } from "./forget.ts";
import { fuzzy } from "./fuzzy.ts";
import { get } from "./get.ts";
import { link } from "./link.ts";
import { lookup } from "./lookup.ts";
import { query } from "./query.ts";
import { recall } from "./recall.ts";
import { remember } from "./remember.ts";
import { search } from "./search.ts";
import type { ArgumentsSchema, OpenTool, Tool, ToolAccess } from "./tool.ts";
import { traverse } from "./traverse.ts";

/** Every tool there is: MCP and the AI SDK have them from here. */
export const tools: readonly Tool[] = [
	recall,
	lookup,
	get,
	search,
	traverse,
	remember,
	link,
	forget,
	fuzzy,
	query,
	about,
];

export interface CatalogueOptions {
	/** Only tools that read. @default false */
	readonly readOnly?: boolean;
	/** Tables that the tools may see. @default every table of the service */
	readonly tables?: readonly string[];
	/** `"full"`: also the tools for those who know the REM dialect. @default "default" */
	readonly surface?: Surface;
}

export const surfaces = ["default", "full"] as const;

export type Surface = (typeof surfaces)[number];

/** A tool as it is offered. */
export interface OfferedTool {
	readonly tool: Tool;
	readonly schema: ArgumentsSchema;
	readonly prepare: OpenTool["prepare"];
	/** Names of its arguments. */
	readonly names: readonly string[];
}

/** The tools that are offered, and what they may see and do. */
export interface Catalogue {
	readonly access: ToolAccess;
	readonly tools: ReadonlyMap<string, OfferedTool>;
}

/** Throws `UNKNOWN_ENTITY` for a table that no model has. */
export function openCatalogue(
	registry: Registry,
	{ readOnly = false, tables, surface = "default" }: CatalogueOptions = {},
): Catalogue {
	const access = toAccess(registry, tables, readOnly);
	const offered = tools
		.filter(({ isExtra = false }) => surface === "full" || !isExtra)
		.filter(({ behaviour }) => !readOnly || behaviour.isReadOnly)
		.map((tool) => [tool.name, offer(tool, access)] as const);
	return { access, tools: new Map(offered) };
}

function toAccess(
	registry: Registry,
	given: readonly string[] | undefined,
	isReadOnly: boolean,
): ToolAccess {
	const all = registry.all().map(({ entity }) => entity.tableName);
	for (const name of given ?? [])
		if (!all.includes(name)) throw unknownTable(name, all);
	const tables = all.filter((name) => given?.includes(name) ?? true);
	if (tables.length === 0)
		throw new RemError("VALIDATION", "there is no table for the tools", {
			hint: `name some of: ${all.join(", ")}`,
		});
	const isRestricted = tables.length < all.length;
	return { registry, tables, isRestricted, isReadOnly };
}

function unknownTable(name: string, known: readonly string[]): RemError {
	const hint = suggest(name, known);
	return new RemError(
		"UNKNOWN_ENTITY",
		`unknown table ${quoted(name)}`,
		hint === undefined ? {} : { hint },
	);
}

/** Its schema is made when it is listed: a client may call tools that it knows. */
function offer(tool: Tool, access: ToolAccess): OfferedTool {
	const { input, prepare } = tool.open(access);
	let schema: ArgumentsSchema | undefined;
	return {
		tool,
		prepare,
		get schema() {
			schema ??= schemaOf(tool, input, access);
			return schema;
		},
		get names() {
			return Object.keys(membersOf(this.schema.properties));
		},
	};
}

function schemaOf(
	tool: Tool,
	input: z.ZodType,
	access: ToolAccess,
): ArgumentsSchema {
	const { $schema: _, ...made } = z.toJSONSchema(input, { io: "input" });
	const plain = withoutBounds(made) as ArgumentsSchema;
	return tool.finishSchema?.(plain, access) ?? plain;
}

/** Whole numbers have bounds that state nothing. */
function withoutBounds(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(withoutBounds);
	if (typeof value !== "object" || value === null) return value;
	return Object.fromEntries(
		Object.entries(value)
			.filter(
				([, item]) =>
					item !== Number.MAX_SAFE_INTEGER && item !== Number.MIN_SAFE_INTEGER,
			)
			.map(([name, item]) => [name, withoutBounds(item)]),
	);
}

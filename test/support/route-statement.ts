import { loadModule, parseSync } from "libpg-query";
import { bucketOf } from "../../src/buckets/bucket-of.ts";

// A statement that a test wrote for the tables of one schema, for a database whose
// tenants are spread over buckets.

await loadModule();

type Tree = Readonly<Record<string, unknown>>;

interface Buckets {
	/** By the number of the bucket. */
	readonly schemas: readonly string[];
	/** The schema that the test names, if any. */
	readonly schema: string;
	/** Every relation of a bucket. */
	readonly relations: ReadonlySet<string>;
	/** Every function of a bucket. */
	readonly routines: ReadonlySet<string>;
}

/**
 * The statements to send instead, of which the results are to be put together.
 * A read becomes one of all buckets' rows; an INSERT goes into the bucket of its
 * tenant, that of `default` where it has none; any other statement, and a read that
 * has a table's name in a literal, is repeated in each bucket. `undefined`: it
 * concerns no table and no function of a bucket.
 */
export function routeStatement(
	text: string,
	values: readonly unknown[] | undefined,
	buckets: Buckets,
): readonly string[] | undefined {
	let stmts: readonly Parsed[];
	try {
		stmts = (parseSync(text).stmts ?? []) as readonly Parsed[];
	} catch {
		// The server refuses it, too.
		return undefined;
	}
	const bytes = Buffer.from(text);
	const routed = stmts.map(({ stmt, stmt_location: at = 0, stmt_len }) => {
		const end = stmt_len === undefined ? bytes.length : at + stmt_len;
		return routeOne(
			{ tree: stmt, text: bytes.subarray(at, end).toString(), at },
			values,
			buckets,
		);
	});
	if (routed.every(({ isRouted }) => !isRouted)) return undefined;
	const [first] = routed;
	if (routed.length === 1) return first?.texts;
	return [routed.flatMap(({ texts }) => texts).join(";\n")];
}

interface Parsed {
	readonly stmt: Tree;
	readonly stmt_location?: number;
	readonly stmt_len?: number;
}

interface Statement {
	readonly tree: Tree;
	readonly text: string;
	/** Where it begins in the text that was parsed. */
	readonly at: number;
}

interface Routed {
	readonly isRouted: boolean;
	readonly texts: readonly string[];
}

function routeOne(
	statement: Statement,
	values: readonly unknown[] | undefined,
	buckets: Buckets,
): Routed {
	const { tree, text } = statement;
	const { schemas, relations } = buckets;
	const names = [
		...namesIn(statement, buckets).filter(({ name }) => relations.has(name)),
		...routinesIn(text, buckets),
		...literalsIn(text, buckets),
	];
	if (names.length === 0) return { isRouted: false, texts: [text] };
	const hasLiterals = names.some(({ kind }) => kind === "literal");
	if (isRead(tree) && !hasLiterals) {
		const hidden = ["xmin", "ctid", "tableoid"].filter((name) =>
			new RegExp(`\\b${name}\\b`).test(text),
		);
		const columns = ["*", ...hidden].join(", ");
		const all = (name: string) =>
			`(${schemas
				.map((schema) => `SELECT ${columns} FROM "${schema}"."${name}"`)
				.join(" UNION ALL ")})`;
		return {
			isRouted: true,
			texts: [
				replaceNames(text, names, ({ name, kind, hasAlias }) =>
					kind === "routine"
						? // It reads no table, or the test is not run with several buckets.
							`"${schemas[0]}"."${name}"`
						: hasAlias
							? all(name)
							: `${all(name)} AS "${name}"`,
				),
			],
		};
	}
	const into = (schema: string) =>
		replaceNames(text, names, ({ name, kind }) =>
			kind === "literal" ? `'"${schema}"."${name}"'` : `"${schema}"."${name}"`,
		);
	const own = "InsertStmt" in tree ? tenantOf(tree, values) : undefined;
	return {
		isRouted: true,
		texts:
			own === undefined
				? schemas.map(into)
				: [into(schemas[bucketOf(own, schemas.length)] ?? "")],
	};
}

function isRead(tree: Tree): boolean {
	if (!("SelectStmt" in tree)) return false;
	return ["lockingClause", "InsertStmt", "UpdateStmt", "DeleteStmt"].every(
		(kind) => nodes(tree, kind).length === 0,
	);
}

interface Name {
	readonly name: string;
	/** Of a table in the statement, of a function, or of a relation in a literal. */
	readonly kind: "relation" | "routine" | "literal";
	/** Its place in the statement's text, of the name with its schema, as characters. */
	readonly from: number;
	readonly to: number;
	readonly hasAlias: boolean;
}

function namesIn({ tree, text, at }: Statement, buckets: Buckets): Name[] {
	const ctes = new Set(
		nodes(tree, "CommonTableExpr").map(({ ctename }) => ctename),
	);
	const bytes = Buffer.from(text);
	const found = relationsOf(tree).flatMap(
		({ relname, schemaname, location, alias }): Name[] => {
			const isOurs = schemaname === undefined || schemaname === buckets.schema;
			if (!isOurs || (schemaname === undefined && ctes.has(relname))) return [];
			const from = bytes
				.subarray(0, Number(location ?? 0) - at)
				.toString().length;
			const [written = ""] = named.exec(text.slice(from)) ?? [];
			return [
				{
					name: String(relname),
					kind: "relation",
					from,
					to: from + written.length,
					hasAlias: alias !== undefined,
				},
			];
		},
	);
	return found.length > 0 || !isWithoutPlaces(tree)
		? found
		: writtenNames(text, buckets);
}

const named = /^(?:(?:"[^"]+"|\w+)\s*\.\s*)?(?:"[^"]+"|\w+)/;

/** Statements whose syntax tree does not have the places of names. */
const isWithoutPlaces = (tree: Tree) =>
	["DropStmt", "CommentStmt"].some((kind) => kind in tree);

function writtenNames(
	text: string,
	{ schema, relations }: Buckets,
): readonly Name[] & Name[] {
	const pattern = new RegExp(
		`(?<![\\w."'])(?:"?${schema}"?\\.)?(?:"([^"]+)"|(\\w+))(?![\\w"'(])`,
		"g",
	);
	return matches(text, pattern, "relation", relations);
}

/** Functions by their name before a parenthesis. */
function routinesIn(text: string, { schema, routines }: Buckets): Name[] {
	const pattern = new RegExp(
		`(?<![\\w."'])(?:"?${schema}"?\\.)?"?(\\w+)"?(?=\\s*\\()`,
		"g",
	);
	return matches(text, pattern, "routine", routines);
}

/**
 * Relations by their name in a literal of the type `regclass`, or as the argument of
 * a function about relations; also inside a function's body.
 */
function literalsIn(text: string, { schema, relations }: Buckets): Name[] {
	const literal = `'(?:"?${schema}"?\\.)?(?:"([^"']+)"|([\\w-]+))'`;
	const pattern = new RegExp(
		`${literal}(?=::regclass)|(?<=(?:regclass|has_table_privilege|pg_\\w+_(?:size|filenode))\\()${literal}`,
		"g",
	);
	return matches(text, pattern, "literal", relations);
}

function matches(
	text: string,
	pattern: RegExp,
	kind: Name["kind"],
	known: ReadonlySet<string>,
): Name[] {
	return [...text.matchAll(pattern)].flatMap((match): Name[] => {
		const [written, ...groups] = match;
		const name = groups.find((one) => one !== undefined) ?? "";
		const from = match.index;
		return known.has(name)
			? [{ name, kind, from, to: from + written.length, hasAlias: false }]
			: [];
	});
}

function replaceNames(
	text: string,
	names: readonly Name[],
	by: (name: Name) => string,
): string {
	let replaced = text;
	const fromTheEnd = names.toSorted((a, b) => b.from - a.from);
	for (const name of fromTheEnd)
		replaced =
			replaced.slice(0, name.from) + by(name) + replaced.slice(name.to);
	return replaced;
}

/** The tenant that an INSERT names, `default` where it names none; `undefined`: it cannot be found. */
function tenantOf(
	tree: Tree,
	values: readonly unknown[] | undefined,
): string | undefined {
	const insert = tree.InsertStmt as {
		readonly cols?: readonly {
			readonly ResTarget: { readonly name: string };
		}[];
		readonly selectStmt?: Tree;
	};
	const at = (insert.cols ?? []).findIndex(
		({ ResTarget }) => ResTarget.name === "tenant_id",
	);
	// Without a tenant, rows that are read in a bucket stay in it.
	if (at < 0)
		return relationsOf(insert.selectStmt).length > 0 ? undefined : "default";
	const [rows] = nodes(tree, "valuesLists");
	const lists = nodes(rows, "List") as unknown as { items?: unknown[] }[];
	const targets = nodes(tree, "targetList")[0];
	const value =
		lists[0]?.items?.[at] ?? (Array.isArray(targets) ? targets[at] : undefined);
	const [parameter] = nodes(value, "ParamRef");
	if (parameter !== undefined) {
		const given = values?.[Number(parameter.number) - 1];
		return typeof given === "string" ? given : undefined;
	}
	const [constant] = nodes(value, "sval") as unknown as { sval?: string }[];
	return constant?.sval;
}

/** Every mention of a relation: some kinds of statement have it without its kind. */
function relationsOf(tree: unknown): Tree[] {
	if (typeof tree !== "object" || tree === null) return [];
	const own = tree as Tree;
	if (typeof own.relname === "string" && "location" in own) return [own];
	return Object.values(own).flatMap(relationsOf);
}

/** All nodes of a kind, at any depth. */
function nodes(tree: unknown, kind: string): Tree[] {
	if (typeof tree !== "object" || tree === null) return [];
	return Object.entries(tree).flatMap(([key, value]) => [
		...(key === kind && typeof value === "object" ? [value as Tree] : []),
		...nodes(value, kind),
	]);
}

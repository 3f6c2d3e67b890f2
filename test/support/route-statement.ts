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
}

/**
 * The statements to send instead, of which the results are to be put together.
 * A read becomes one of all buckets' rows; an INSERT goes into the bucket of its
 * tenant, that of `default` where it has none; any other statement is repeated in
 * each bucket, as is a read that names a relation as a text (`'notes'::regclass`).
 * `undefined`: it concerns no relation of a bucket.
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
	const names = namesIn(statement, buckets).filter(({ name }) =>
		relations.has(name),
	);
	if (names.length === 0) return { isRouted: false, texts: [text] };
	if (isRead(tree) && !names.some(({ isText }) => isText)) {
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
				replaceNames(text, names, ({ name, hasAlias }) =>
					hasAlias ? all(name) : `${all(name)} AS "${name}"`,
				),
			],
		};
	}
	const into = (schema: string) =>
		replaceNames(text, names, ({ name, isText }) => {
			const own = `"${schema}"."${name}"`;
			return isText ? `'${own}'` : own;
		});
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
	/** Its place in the statement's text, of the name with its schema, as characters. */
	readonly from: number;
	readonly to: number;
	readonly hasAlias: boolean;
	/** It is a text with the name of a relation. */
	readonly isText: boolean;
}

function namesIn({ tree, text, at }: Statement, buckets: Buckets): Name[] {
	const ctes = new Set(
		nodes(tree, "CommonTableExpr").map(({ ctename }) => ctename),
	);
	const bytes = Buffer.from(text);
	const place = (location: unknown) =>
		bytes.subarray(0, Number(location ?? 0) - at).toString().length;
	const found = relationsOf(tree).flatMap(
		({ relname, schemaname, location, alias }): Name[] => {
			const isOurs = schemaname === undefined || schemaname === buckets.schema;
			if (!isOurs || (schemaname === undefined && ctes.has(relname))) return [];
			const from = place(location);
			const [written = ""] = named.exec(text.slice(from)) ?? [];
			return [
				{
					name: String(relname),
					from,
					to: from + written.length,
					hasAlias: alias !== undefined,
					isText: false,
				},
			];
		},
	);
	const texts = textsOf(tree).flatMap(({ sval, location }): Name[] => {
		const [, schemaname, quoted, name = quoted] =
			namedInText.exec(String(sval)) ?? [];
		const isOurs = schemaname === undefined || schemaname === buckets.schema;
		const from = place(location);
		const to = from + String(sval).length + 2;
		const isPlain = text.slice(from, to) === `'${sval}'`;
		return name === undefined || !isOurs || !isPlain
			? []
			: [{ name, from, to, hasAlias: false, isText: true }];
	});
	return found.length > 0 || !isWithoutPlaces(tree)
		? [...found, ...texts]
		: writtenNames(text, buckets);
}

const named = /^(?:(?:"[^"]+"|\w+)\s*\.\s*)?(?:"[^"]+"|\w+)/;
const namedInText = /^(?:"?(\w+)"?\.)?(?:"([^"]+)"|(\w+))$/;

/** The texts that name relations: those cast to `regclass`, and arguments of functions about relations. */
function textsOf(tree: Tree): { sval: unknown; location: unknown }[] {
	const casts = nodes(tree, "TypeCast").filter(({ typeName }) =>
		nodes(typeName, "String").some(({ sval }) => sval === "regclass"),
	);
	const calls = nodes(tree, "FuncCall").filter(({ funcname }) =>
		nodes(funcname, "String").some(({ sval }) =>
			aboutRelations.test(String(sval)),
		),
	);
	const given = [
		...casts.map(({ arg }) => [arg]),
		...calls.map(({ args }) => args),
	].flat() as { A_Const?: { sval?: Tree; location?: number } }[];
	return given.flatMap(({ A_Const: constant }) =>
		constant?.sval === undefined
			? []
			: [{ sval: constant.sval.sval, location: constant.location }],
	);
}

const aboutRelations =
	/^(?:to_regclass|pg_(?:total_)?(?:relation|table|indexes)_(?:size|filenode))$/;

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
	return [...text.matchAll(pattern)].flatMap((match): Name[] => {
		const [written, quoted = "", name = quoted] = match;
		return relations.has(name)
			? [
					{
						name,
						from: match.index,
						to: match.index + written.length,
						hasAlias: false,
						isText: false,
					},
				]
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

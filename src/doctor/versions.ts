import { readLocale } from "../core/locale.ts";
import type { Database } from "../db/database.ts";
import { sql } from "../sql.ts";
import { counted, failed, ok, type RunCheck, warning } from "./check.ts";

interface Extension {
	readonly name: string;
	readonly installed: string | null;
	readonly available: string | null;
}

const needed = ["vector", "pg_trgm", "btree_gin"] as const;

function readExtensions(db: Database) {
	return db.query<Extension>(sql`
SELECT n.name, e.extversion AS installed, a.default_version AS available
FROM unnest(${`{${needed.join(",")}}`}::text[]) WITH ORDINALITY AS n (name, place)
LEFT JOIN pg_extension e ON e.extname = n.name
LEFT JOIN pg_available_extensions a ON a.name = n.name
ORDER BY n.place`);
}

// Since then a search continues in the index until it has enough rows of the tenant.
const oldestVector = [0, 8, 0];

export const checkVersions: RunCheck = async ({ db }) => {
	const { rows } = await db.query<{ server: string }>(
		sql`SELECT current_setting('server_version') AS server`,
	);
	const extensions = (await readExtensions(db)).rows;
	const vector = extensions.find(({ name }) => name === "vector")?.installed;
	const found = [
		`PostgreSQL ${rows[0]?.server.split(" ")[0]}`,
		...(vector == null ? [] : [`pgvector ${vector}`]),
		`Node.js ${process.versions.node}`,
	].join(", ");
	if (vector == null || !isOlder(vector, oldestVector)) return ok(found);
	return failed(
		found,
		"searches need pgvector 0.8.0 or later: install it, then ALTER EXTENSION vector UPDATE",
	);
};

export const checkExtensions: RunCheck = async ({ db }) => {
	const { rows } = await readExtensions(db);
	const missing = rows.filter(({ installed }) => installed === null);
	if (missing.length > 0) {
		const names = missing.map(({ name }) => name);
		return failed(
			`${counted(missing.length, "extension")} missing: ${names.join(", ")}`,
			`rem migrate, or as a superuser: ${names.map((name) => `CREATE EXTENSION ${name}`).join("; ")}`,
		);
	}
	const old = rows.filter(
		({ installed, available }) =>
			available !== null &&
			isOlder(installed ?? "", available.split(".").map(Number)),
	);
	if (old.length > 0)
		return warning(
			`not brought to the version that is installed: ${old.map(({ name, installed, available }) => `${name} ${installed}, ${available} is there`).join("; ")}`,
			old.map(({ name }) => `ALTER EXTENSION ${name} UPDATE`).join("; "),
		);
	return ok(
		rows.map(({ name, installed }) => `${name} ${installed}`).join(", "),
	);
};

function isOlder(version: string, than: readonly number[]): boolean {
	const parts = version.split(".").map(Number);
	const at = than.findIndex((part, index) => part !== (parts[index] ?? 0));
	return at >= 0 && (parts[at] ?? 0) < (than[at] ?? 0);
}

/** Which letters the database knows. */
export const checkLocale: RunCheck = async ({ db }) => {
	const { name, problems } = await readLocale(db);
	if (problems.length === 0) return ok(name);
	return problems.map(({ found, remedy }) => warning(found, remedy));
};

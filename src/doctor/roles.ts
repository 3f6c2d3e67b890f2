import { arrayLiteral } from "../db/encode.ts";
import { roleProblems } from "../isolation/role-problems.ts";
import { readTableWalls } from "../isolation/table-problems.ts";
import { sql, toText } from "../sql.ts";
import { writtenTables } from "../store/first-statistics.ts";
import { ok, type RunCheck, some, warning } from "./check.ts";

/** Whether row level security applies to the role, where it is set up; and whether the role may do more than an application needs. */
export const checkRoles: RunCheck = async ({ db, settings, registry }) => {
	if (settings.database.kind === "embedded") return [];
	const problems = await roleProblems(db);
	const walls = await readTableWalls(db, settings.schema, registry.all());
	const isSetUp = walls.some(({ hasPolicies }) => hasPolicies);
	if (isSetUp) {
		const gaps = walls.flatMap((wall) =>
			wall.problems.map((problem) => `${wall.table}: ${problem}`),
		);
		if (problems.length + gaps.length > 0)
			return warning(
				`row level security does not protect everything: ${some([...problems, ...gaps])}`,
				"let applications connect as a member of rem_app (docs/tenancy.md); rem doctor --isolation tries it",
			);
		return ok("row level security applies to this role");
	}
	const [problem] = problems;
	if (problem !== undefined)
		return warning(
			problem,
			"let applications connect as a role of their own (docs/operations.md)",
		);
	return ok("no superuser; row level security is not set up (optional)");
};

/** Without MAINTAIN the first statistics of a load wait for autovacuum: a rebuild of the cache took 6.2 s instead of 0.27. */
export const checkStatistics: RunCheck = async ({ db, settings, registry }) => {
	// Under row level security a function gathers them, as the owner.
	if (settings.database.kind === "embedded" || settings.rowLevelSecurity)
		return [];
	const tables = new Set(registry.all().flatMap(writtenTables).map(toText));
	const { rows } = await db.query<{ name: string; role: string }>(sql`
SELECT c.oid::regclass::text AS name, quote_ident(current_user) AS role
FROM unnest(${arrayLiteral([...tables])}::text[]) AS t (name)
JOIN pg_class AS c ON c.oid = to_regclass(t.name)
WHERE NOT has_table_privilege(c.oid, 'MAINTAIN') ORDER BY 1`);
	const [first] = rows;
	if (first === undefined)
		return ok("this role may gather those of every table");
	const names = rows.map(({ name }) => name);
	return warning(
		`this role may not ANALYZE ${some(names)}: large loads are slow until autovacuum comes by`,
		`GRANT MAINTAIN ON ${names.join(", ")} TO ${first.role} (docs/operations.md)`,
	);
};

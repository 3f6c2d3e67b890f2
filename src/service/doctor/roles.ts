import { roleProblems } from "../isolation/role-problems.ts";
import { readTableWalls } from "../isolation/table-problems.ts";
import { type Matter, ok, some, warning } from "./check.ts";

/** Whom row level security holds, where it is set up; and whether the role may do more than an application needs. */
export const checkRoles: Matter = async ({ db, settings, registry }) => {
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
				`row level security does not hold all: ${some([...problems, ...gaps])}`,
				"let applications connect as a member of rem_app (docs/tenancy.md); rem doctor --isolation tries it",
			);
		return ok("row level security holds this role");
	}
	const [problem] = problems;
	if (problem !== undefined)
		return warning(
			problem,
			"let applications connect as a role of their own (docs/operations.md)",
		);
	return ok("no superuser; row level security is not set up (optional)");
};

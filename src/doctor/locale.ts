import { readLocale } from "../core/locale.ts";
import { type Matter, ok, warning } from "./check.ts";

/** Which letters the database knows. */
export const checkLocale: Matter = async ({ db }) => {
	const { name, problems } = await readLocale(db);
	if (problems.length === 0) return ok(name);
	return problems.map(({ found, remedy }) => warning(found, remedy));
};

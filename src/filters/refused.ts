import { RemError } from "../errors.ts";
import type { Field } from "../models/field.ts";

/** A condition that is none, named by its field; values stay out of it. */
export function refused(field: Field, what: string, hint?: string): RemError {
	return new RemError(
		"FILTER_REFUSED",
		`filter on "${field.name}" ${what}`,
		hint === undefined || hint === "" ? {} : { hint },
	);
}

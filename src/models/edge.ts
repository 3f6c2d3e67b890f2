import * as z from "zod";
import { plainNumbers } from "./exact-numbers.ts";
import { valueProblem } from "./limits.ts";

/** UTF-16 units: a key, or an address. PostgreSQL takes the square of it to normalise some texts. */
const longestTarget = 2048;

/** Stored as given; only what TRAVERSE relies on is checked. */
export const edgeSchema = z.looseObject({
	dst: z.string().min(1).max(longestTarget),
	rel_type: z.string().min(1),
	weight: z.optional(z.number().min(0).max(1)),
	properties: z.optional(z.record(z.string(), z.unknown())),
	created_at: z.optional(z.string()),
});

/** Why the value cannot be stored as an edge, if it cannot. */
export function edgeProblem(value: unknown): string | undefined {
	const stored = valueProblem(value);
	if (stored !== undefined) return stored.message;
	const [issue] = edgeSchema.safeParse(plainNumbers(value)).error?.issues ?? [];
	return issue && [...issue.path, issue.message].join(": ");
}

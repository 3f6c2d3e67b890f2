import * as z from "zod";
import { plainNumbers } from "./exact-numbers.ts";
import { keyProblem, limits, valueProblem } from "./limits.ts";

const target = z
	.string()
	.max(limits.edgeTargetLength)
	.superRefine((dst, context) => {
		const message = keyProblem(dst);
		if (message !== undefined) context.addIssue({ code: "custom", message });
	});

/** Stored as given; only what TRAVERSE relies on is checked. */
export const edgeSchema = z.looseObject({
	dst: target,
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

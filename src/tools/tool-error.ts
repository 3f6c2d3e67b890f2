import type * as z from "zod";
import { asRemError, type Issue, isRemError, RemError } from "../errors.ts";
import { suggest } from "../util/suggest.ts";

/** A refusal that a model can act on: code, message, hint and fields. */
export function toolError(error: unknown, name: string): RemError {
	const known = asRemError(error, name);
	return isRemError(known)
		? known
		: new RemError("VALIDATION", `${name} failed`, { cause: error });
}

/** JSON of the error without what is of no use to a model. */
export function errorContent(error: RemError): Record<string, unknown> {
	const { code, message, hint, issues, position } = error;
	return {
		code,
		message,
		...(hint === undefined ? {} : { hint }),
		...(issues.length === 0 ? {} : { issues: issues.slice(0, maxIssues) }),
		...(position === undefined ? {} : { position }),
	};
}

const maxIssues = 20;

export function errorText({ code, message, hint }: RemError): string {
	return `${code}: ${message}${hint === undefined ? "" : `\nhint: ${hint}`}`;
}

/** Arguments that are not the tool's. */
export function invalidArguments(
	name: string,
	problems: readonly z.core.$ZodIssue[],
	known: readonly string[],
): RemError {
	const issues = problems.flatMap((problem) => issuesOf(problem, known));
	const list = issues.map(({ field, message }) =>
		field === undefined ? message : `${field}: ${message}`,
	);
	return new RemError(
		"VALIDATION",
		`arguments of ${name}: ${list.slice(0, maxIssues).join("; ")}`,
		{ hint: "correct the named arguments and call the tool again", issues },
	);
}

function issuesOf(issue: z.core.$ZodIssue, known: readonly string[]): Issue[] {
	const field = issue.path.map(String).join(".");
	if (issue.code === "unrecognized_keys" && field === "")
		return issue.keys.map((key) => {
			const hint = suggest(key, known);
			return {
				field: key,
				message: `unknown argument${hint === undefined ? "" : `, ${hint}`}`,
			};
		});
	const message =
		issue.message.charAt(0).toLowerCase() + issue.message.slice(1);
	return [{ ...(field === "" ? {} : { field }), message }];
}

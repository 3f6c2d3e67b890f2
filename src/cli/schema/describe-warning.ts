import type { LintWarning } from "../../migrate/lint/lint.ts";

/** `0003_x.sql, line 2: … [type-change]; better: …` */
export function describeWarning({
	file,
	line,
	rule,
	message,
	hint,
}: LintWarning): string {
	return `warning: ${file}, line ${line}: ${message} [${rule}]; better: ${hint}`;
}

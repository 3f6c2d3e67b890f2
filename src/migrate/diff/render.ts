import { directive } from "../migration-file.ts";
import type { Difference } from "./difference.ts";

/** The statements that repair the differences, with what they are for, as text for people and psql. */
export function renderDifferences(differences: readonly Difference[]): string {
	return differences.map(renderDifference).join("\n");
}

interface MigrationTexts {
	/** Of a file that is one transaction; empty: there is nothing for it. */
	readonly transaction: string;
	/** Of a file whose statements run one by one. */
	readonly online: string;
}

/** The same as files of migrations: what is dangerous is commented out and marked undecided, unless asked for. */
export function renderMigration(
	differences: readonly Difference[],
	includesDangerous: boolean,
): MigrationTexts {
	const inPhase = (phase: Difference["phase"]) =>
		differences
			.filter((one) => one.phase === phase)
			.map((one) =>
				one.risk === undefined || includesDangerous
					? renderDifference(one)
					: commentedOut(one),
			)
			.join("\n");
	const online = inPhase("online");
	return {
		transaction: inPhase("transaction"),
		online: online === "" ? "" : `-- rem: no-transaction\n\n${online}`,
	};
}

function renderDifference(one: Difference): string {
	return `${heading(one)}${statementsOf(one)}`;
}

function commentedOut(one: Difference): string {
	const lines = statementsOf(one).trimEnd().split("\n");
	return `${heading(one)}-- rem: ${directive.undecided}\n${lines.map((line) => `-- ${line}\n`).join("")}`;
}

function heading({ table, messages, risk }: Difference): string {
	const about = messages.map((message) => `-- ${table}: ${message}\n`).join("");
	return risk === undefined
		? about
		: `${about}-- dangerous (${risk.kind}): ${table}: ${risk.reason}\n`;
}

function statementsOf({ statements }: Difference): string {
	return statements.map((statement) => `${statement.trimEnd()}\n`).join("");
}

import type { MigrationFile } from "../migration-file.ts";
import { type FileStatement, splitStatements } from "../split-statements.ts";
import { alterRules } from "./alter-rules.ts";
import type { Finding, LintContext, Rule } from "./rule.ts";
import { statementRules } from "./statement-rules.ts";

/** Something in a migration that hurts a database that is in use. */
export interface LintWarning {
	readonly file: string;
	readonly line: number;
	/** For `-- rem: ignore RULE`. */
	readonly rule: string;
	readonly message: string;
	/** The better way. */
	readonly hint: string;
}

/** All that is to be said of a file, in the order of its lines. */
export async function lintFile(file: MigrationFile): Promise<LintWarning[]> {
	const statements = await splitStatements(file.name, file.text);
	const context: LintContext = {
		isTransaction: file.isTransaction,
		newTables: newTablesOf(statements),
	};
	const rules: readonly Rule[] = [...statementRules, ...alterRules];
	return statements.flatMap((statement) =>
		rules
			.flatMap((rule) => rule(statement.node, context))
			.filter(({ rule }) => !file.ignoredRules.includes(rule))
			.map((finding: Finding) => ({
				file: file.name,
				line: statement.line,
				...finding,
			})),
	);
}

/** Nobody reads or writes a table that the file itself makes. */
function newTablesOf(statements: readonly FileStatement[]): Set<string> {
	const names = statements.flatMap(({ node }) =>
		"CreateStmt" in node ? (node.CreateStmt.relation?.relname ?? []) : [],
	);
	return new Set(names);
}

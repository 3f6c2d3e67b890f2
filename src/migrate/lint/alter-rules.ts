import type { AlterTableCmd, ColumnDef, Constraint } from "libpg-query";
import type { SqlNode } from "../../sql-grammar.ts";
import { type Finding, isOurs, type Rule } from "./rule.ts";

/** Rules for the parts of ALTER TABLE. */
export const alterRules: readonly Rule[] = [alterTable];

function alterTable(
	node: SqlNode,
	{ newTables }: Parameters<Rule>[1],
): Finding[] {
	if (!("AlterTableStmt" in node)) return [];
	const { relation, cmds = [] } = node.AlterTableStmt;
	if (newTables.has(relation?.relname ?? "")) return [];
	return cmds.flatMap((cmd) =>
		"AlterTableCmd" in cmd ? lintCommand(cmd.AlterTableCmd) : [],
	);
}

function lintCommand(command: AlterTableCmd): Finding[] {
	const { subtype, name = "", def } = command;
	switch (subtype) {
		case "AT_AddColumn":
			return def !== undefined && "ColumnDef" in def
				? addColumn(def.ColumnDef)
				: [];
		case "AT_AlterColumnType":
			return [typeChange(name)];
		case "AT_SetNotNull":
			return [setNotNull(name)];
		case "AT_AddConstraint":
			return def !== undefined && "Constraint" in def
				? addConstraint(def.Constraint)
				: [];
		case "AT_DropColumn":
			return [dropColumn(name)];
		case "AT_SetLogged":
		case "AT_SetUnLogged":
			return [rewrite("SET LOGGED and SET UNLOGGED write")];
		case "AT_DisableTrig":
			return isOurs(name) ? [disablesTrigger(`"${name}"`)] : [];
		case "AT_DisableTrigAll":
		case "AT_DisableTrigUser":
			return [disablesTrigger("every trigger, those of remdb too")];
		case "AT_DisableRowSecurity":
		case "AT_NoForceRowSecurity":
			return [
				{
					rule: "row-security-off",
					message: "rows of other tenants may be seen from now on",
					hint: "change the policies instead",
				},
			];
		default:
			return [];
	}
}

function addColumn({
	colname,
	constraints = [],
	typeName,
}: ColumnDef): Finding[] {
	const all = constraints.flatMap((item) =>
		"Constraint" in item ? item.Constraint : [],
	);
	const value = all.find(({ contype }) => contype === "CONSTR_DEFAULT");
	const isStored = all.some(
		(item) =>
			item.contype === "CONSTR_IDENTITY" ||
			(item.contype === "CONSTR_GENERATED" &&
				(item as { generated_kind?: string }).generated_kind !== "v"),
	);
	const isRequired = all.some(
		({ contype }) =>
			contype === "CONSTR_NOTNULL" || contype === "CONSTR_PRIMARY",
	);
	return [
		...(isRequired && value === undefined && !isStored
			? [
					{
						rule: "not-null-without-default",
						message: `column "${colname}" fails on a table with rows, which have no value for it`,
						hint: "give it a DEFAULT; or add it without NOT NULL, fill it, then ADD CONSTRAINT … NOT NULL … NOT VALID and VALIDATE it",
					},
				]
			: []),
		...(isStored || isVolatile(value)
			? [rewrite(`a value of its own for every row of "${colname}" writes`)]
			: []),
		...(isNaiveTimestamp(typeName)
			? [
					{
						rule: "timestamp-without-time-zone",
						message: `column "${colname}" shifts by the time zone of whoever writes it`,
						hint: "timestamptz",
					},
				]
			: []),
		...all.flatMap((item) =>
			item.contype === "CONSTR_FOREIGN" || item.contype === "CONSTR_CHECK"
				? addConstraint(item)
				: item.contype === "CONSTR_UNIQUE" || item.contype === "CONSTR_PRIMARY"
					? addConstraint(item)
					: [],
		),
	];
}

// Computed once for the whole statement: such a default is stored, not written to each row.
const stableFunctions = new Set([
	"now",
	"transaction_timestamp",
	"statement_timestamp",
	"current_setting",
	"array",
	"jsonb_build_object",
	"jsonb_build_array",
	"to_jsonb",
]);

/** Whether each row has to be given a value of its own, as far as names tell. */
function isVolatile(value: Constraint | undefined): boolean {
	const calls = JSON.stringify(value?.raw_expr ?? null).matchAll(
		/"funcname":\[(.*?)\]/g,
	);
	return [...calls].some(([, names = ""]) => {
		const [last = ""] = [...names.matchAll(/"sval":"([^"]*)"/g)]
			.map(([, name = ""]) => name)
			.slice(-1);
		return !stableFunctions.has(last);
	});
}

function isNaiveTimestamp(typeName: ColumnDef["typeName"]): boolean {
	const last = typeName?.names?.at(-1);
	return (
		last !== undefined && "String" in last && last.String.sval === "timestamp"
	);
}

function typeChange(name: string): Finding {
	return {
		rule: "type-change",
		message: `a new type for "${name}" writes the whole table and its indexes anew under a lock that stops everybody (only a wider varchar does not)`,
		hint: "add a column of the new type, write both, copy in batches, read the new one, then drop the old one",
	};
}

function setNotNull(name: string): Finding {
	return {
		rule: "set-not-null",
		message: `the whole table is read under a lock that stops everybody, to see that "${name}" has no NULL`,
		hint: `ADD CONSTRAINT … NOT NULL ${name} NOT VALID, then VALIDATE CONSTRAINT in a file of its own`,
	};
}

function addConstraint(constraint: Constraint): Finding[] {
	switch (constraint.contype) {
		case "CONSTR_CHECK":
		case "CONSTR_FOREIGN":
		case "CONSTR_NOTNULL":
			return constraint.skip_validation === true
				? []
				: [
						{
							rule: "constraint-without-not-valid",
							message:
								"all rows are checked under a lock that keeps writers out",
							hint: "ADD CONSTRAINT … NOT VALID, then VALIDATE CONSTRAINT in a file of its own",
						},
					];
		case "CONSTR_UNIQUE":
		case "CONSTR_PRIMARY":
		case "CONSTR_EXCLUSION":
			return constraint.indexname !== undefined
				? []
				: [
						{
							rule: "constraint-builds-index",
							message: "its index is built under a lock that stops everybody",
							hint: "CREATE UNIQUE INDEX CONCURRENTLY first, then ADD CONSTRAINT … USING INDEX",
						},
					];
		default:
			return [];
	}
}

function dropColumn(name: string): Finding {
	return {
		rule: "drop-column",
		message: `the values of "${name}" are lost, and programs that still read it fail`,
		hint: "deploy programs that do without it first",
	};
}

function disablesTrigger(what: string): Finding {
	return {
		rule: "drops-ours",
		message: `${what} does not fire any more: names or vectors are lost or wrong`,
		hint: "leave the triggers on; `rem kv rebuild` afterwards if it has to be",
	};
}

function rewrite(what: string): Finding {
	return {
		rule: "table-rewrite",
		message: `${what} the whole table anew under a lock that stops everybody`,
		hint: "add the column without it, fill it in batches, then set the default",
	};
}

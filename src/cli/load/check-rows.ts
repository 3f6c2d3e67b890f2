import { setImmediate } from "node:timers/promises";
import { type ErrorCode, type Issue, RemError } from "../../errors.ts";
import type { Entity } from "../../models/entity.ts";
import type { RowScope } from "../../models/row-problems.ts";
import { type ValidRow, validateRows } from "../../models/validate.ts";
import { suggest } from "../../util/suggest.ts";
import { counted } from "../output/numbers.ts";
import type { RowShaper, ShapedRow } from "./shape-row.ts";
import { fileError, type RowGroup, type SourceRow } from "./source.ts";

/** What reading every row shows before anything is written. */
export interface CheckedRows {
	/** Rows of the file. */
	readonly rows: number;
	/** Places of rows that are not written: invalid ones, and those that a later one replaces. */
	readonly omitted: ReadonlySet<number>;
	/** Rows that a later one with the same key replaces. */
	readonly duplicates: number;
	/** Rows that are invalid, and are to be skipped. */
	readonly skipped: number;
	/** What is wrong with those. */
	readonly issues: readonly PlacedIssue[];
	/** Rows without a text that could be embedded. */
	readonly withoutText: number;
	/** Rows whose key is shortened. */
	readonly shortened: number;
	/** Tenants of the rows; none of a table without tenants. */
	readonly tenants: ReadonlySet<string>;
	/** Properties that no field takes. */
	readonly leftOut: readonly string[];
}

export interface CheckOptions {
	readonly entity: Entity;
	readonly shaper: RowShaper;
	readonly scope: RowScope;
	/** Whether properties that are not a field are left out, instead of refused. */
	readonly leavesOut: boolean;
	/** Whether invalid rows are skipped, instead of refusing the file. */
	readonly skipsInvalid: boolean;
	readonly signal: AbortSignal;
	/** Called with the number of rows checked so far. */
	readonly onProgress: (rows: number) => void;
}

/** An issue with its place in the file. */
interface PlacedIssue extends Issue {
	readonly file?: string;
	readonly line?: number;
}

const rowsAtOnce = 500;

/** Enough to see what is wrong with a file; the rest of it is not looked at. */
const maxIssues = 1000;

/** Reads and validates every row, keeping none; throws one error that names everything that is wrong. */
export async function checkRows(
	group: RowGroup,
	options: CheckOptions,
): Promise<CheckedRows> {
	const check = new Check(options);
	for await (const row of readRows(group)) {
		if (row.problem !== undefined && !options.skipsInvalid)
			throw fileError(
				{ file: row.file ?? group.file, line: row.line },
				row.problem,
				{
					hint: "nothing was written; correct the file, or load the other rows with --skip-invalid",
				},
			);
		if (options.signal.aborted)
			throw new RemError("CANCELLED", "stopped while checking the rows", {
				hint: "nothing was written",
			});
		if (check.add(row)) await setImmediate();
		if (check.isHopeless) break;
	}
	return check.finish(group.file);
}

/** The rows of a group, from memory or from the file. */
export function readRows(
	group: RowGroup,
): Iterable<SourceRow> | AsyncIterable<SourceRow> {
	return typeof group.rows === "function" ? group.rows() : group.rows;
}

class Check {
	readonly #options: CheckOptions;
	/** Properties that are not a field, with the first row that has them. */
	readonly #unknown = new Map<string, PlacedIssue>();
	readonly #identities = new RowIdentities();
	readonly #issues: PlacedIssue[] = [];
	readonly #codes = new Set<ErrorCode>();
	readonly #invalid = new Set<number>();
	#waiting: SourceRow[] = [];
	#rows = 0;
	readonly #tenants = new Set<string>();
	#withoutText = 0;
	#shortened = 0;

	constructor(options: CheckOptions) {
		this.#options = options;
	}

	get isHopeless(): boolean {
		return !this.#options.skipsInvalid && this.#issues.length >= maxIssues;
	}

	/** Whether rows were checked now, which takes a moment. */
	add(row: SourceRow): boolean {
		this.#waiting.push(row);
		const isFull = this.#waiting.length === rowsAtOnce;
		if (isFull) this.#checkWaiting();
		return isFull;
	}

	finish(file: string): CheckedRows {
		this.#checkWaiting();
		if (this.#unknown.size > 0 && !this.#options.leavesOut)
			throw this.#unknownFields(file);
		if (this.#invalid.size > 0 && !this.#options.skipsInvalid)
			throw this.#invalidRows(file);
		const { replaced } = this.#identities;
		return {
			rows: this.#rows,
			omitted: new Set([...replaced, ...this.#invalid]),
			duplicates: replaced.size,
			skipped: this.#invalid.size,
			issues: this.#inOrder(),
			withoutText: this.#withoutText,
			shortened: this.#shortened,
			tenants: this.#tenants,
			leftOut: [...this.#unknown.keys()],
		};
	}

	#checkWaiting(): void {
		const rows = this.#waiting.flatMap((source, at) => {
			const index = this.#rows + at;
			if (source.problem !== undefined) {
				this.#refuse({ message: source.problem }, index);
				return [];
			}
			const { row, problems } = this.#shape(source, index);
			for (const problem of problems) this.#refuse(problem, index);
			return problems.length === 0 ? [{ row, index }] : [];
		});
		for (const row of this.#validate(rows)) this.#note(row);
		this.#rows += this.#waiting.length;
		this.#waiting = [];
		this.#options.onProgress(this.#rows);
	}

	#shape(source: SourceRow, index: number): ShapedRow {
		const shaped = this.#options.shaper.shape(source.value);
		const { unknown } = shaped;
		if (shaped.isShortened) this.#shortened++;
		for (const field of unknown)
			if (!this.#unknown.has(field))
				this.#unknown.set(field, {
					index,
					field,
					message: "unknown field",
					...placeOf(source),
				});
		return shaped;
	}

	/** The valid ones; the problems of the others are collected. */
	#validate(rows: readonly IndexedRow[]): ValidRow[] {
		const { entity, scope, shaper } = this.#options;
		const given = rows.map(({ row }) => row);
		try {
			return validateRows(entity, given, scope).map((valid) => ({
				...valid,
				index: rows[valid.index]?.index ?? 0,
			}));
		} catch (error) {
			if (!(error instanceof RemError)) throw error;
			this.#codes.add(error.code);
			const bad = new Set<number | undefined>();
			for (const issue of error.issues) {
				bad.add(issue.index);
				const at = rows[issue.index ?? 0];
				this.#refuse(shaper.explain(issue, at?.row), at?.index ?? 0);
			}
			return this.#validate(rows.filter((_, at) => !bad.has(at)));
		}
	}

	#refuse(issue: Issue, index: number): void {
		this.#invalid.add(index);
		if (this.#issues.length >= maxIssues) return;
		const source = this.#waiting[index - this.#rows];
		this.#issues.push({ ...issue, index, ...placeOf(source) });
	}

	/** What cannot be read is found before what is not valid. */
	#inOrder(): PlacedIssue[] {
		return this.#issues.sort((a, b) => (a.index ?? 0) - (b.index ?? 0));
	}

	#note(row: ValidRow): void {
		this.#identities.add(row);
		if (this.#options.entity.tenantScoped) this.#tenants.add(row.tenantId);
		const hasText = this.#options.entity.embedFields.some(
			({ name }) => (row.supplied[name] ?? row.defaults[name] ?? "") !== "",
		);
		if (!hasText) this.#withoutText++;
	}

	#unknownFields(file: string): RemError {
		const { tableName, fieldsByName } = this.#options.entity;
		const known = [...fieldsByName.keys()];
		const issues = [...this.#unknown.values()].map((issue) => {
			const hint = suggest(issue.field ?? "", known);
			return hint?.startsWith("did you mean")
				? { ...issue, message: `${issue.message}, ${hint}` }
				: issue;
		});
		return new RemError(
			"UNKNOWN_FIELD",
			`${file}: ${counted(issues.length, "property is", "properties are")} no field of "${tableName}"`,
			{
				hint: "nothing was written; name the properties to take with --map, as in --map name=title --map metadata.year=year: the others are then left out",
				issues,
			},
		);
	}

	#invalidRows(file: string): RemError {
		const [code = "VALIDATION", ...others] = this.#codes;
		const most = this.isHopeless ? "at least " : "";
		return new RemError(
			others.length === 0 ? code : "VALIDATION",
			`${file}: ${most}${counted(this.#invalid.size, "row")} cannot be loaded into "${this.#options.entity.tableName}"`,
			{
				hint: "nothing was written; correct the file, choose other fields with --map, or load the other rows with --skip-invalid",
				issues: this.#inOrder(),
			},
		);
	}
}

interface IndexedRow {
	readonly row: unknown;
	/** Its place in the file, from 0. */
	readonly index: number;
}

function placeOf(source: SourceRow | undefined) {
	return {
		...(source?.line === undefined ? {} : { line: source.line }),
		...(source?.file === undefined ? {} : { file: source.file }),
	};
}

/** More would fill the memory; rows beyond are taken for different ones. */
const maxKnown = 5_000_000;

/**
 * Finds rows that are the same row of the database. The last of them counts:
 * were each written in its turn, loading the file again would change the row
 * and embed its texts every time.
 */
class RowIdentities {
	/** Places in the file of rows that a later one replaces. */
	readonly replaced = new Set<number>();
	readonly #last = new Map<string, number>();

	add(row: ValidRow): void {
		const identity = identityOf(row);
		if (identity === undefined) return;
		const earlier = this.#last.get(identity);
		if (earlier !== undefined) this.replaced.add(earlier);
		else if (this.#last.size >= maxKnown) return;
		this.#last.set(identity, row.index);
	}
}

function identityOf({ id, key, tenantId, userId }: ValidRow) {
	if (id !== undefined) return `id ${id}`;
	return key === null ? undefined : `${tenantId}\0${userId ?? ""}\0${key}`;
}

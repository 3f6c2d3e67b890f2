import { compile, type Sql, type Statement } from "../sql.ts";
import { membersOf } from "../util/present.ts";

/** A statement of this process, as long as it took. */
export interface SlowStatement {
	/** When it began. */
	readonly at: Date;
	/** Without its values: `$1`. */
	readonly text: string;
	readonly durationMs: number;
	/** `undefined` where it failed. */
	readonly rowCount: number | undefined;
	/** SQLSTATE or code of its failure. */
	readonly error: string | undefined;
}

const maxStatements = 50;
const maxAgeMs = 15 * 60_000;
/** Shorter ones are not reported. */
const minMs = 10;
const longestText = 4000;

/** The slowest statements of the last quarter of an hour. */
export class SlowStatements {
	#statements: SlowStatement[] = [];

	/** Slowest first. */
	list(): readonly SlowStatement[] {
		this.#forget();
		return [...this.#statements];
	}

	/** Sends the statement, and notes it where it is among the slowest. */
	async time<R extends { readonly rowCount: number }>(
		statement: Sql | Statement,
		send: () => Promise<R>,
	): Promise<R> {
		const started = performance.now();
		try {
			const result = await send();
			this.#note(statement, started, { rowCount: result.rowCount });
			return result;
		} catch (error) {
			this.#note(statement, started, { error });
			throw error;
		}
	}

	#note(
		statement: Sql | Statement,
		started: number,
		{ rowCount, error }: { rowCount?: number; error?: unknown },
	): void {
		const durationMs = performance.now() - started;
		const last = this.#statements[maxStatements - 1];
		if (durationMs < minMs) return;
		if (last !== undefined && durationMs <= last.durationMs) {
			this.#forget();
			if (this.#statements.length >= maxStatements) return;
		}
		const { sqlState, code } = membersOf(error);
		this.#statements.push({
			at: new Date(Date.now() - durationMs),
			text: textOf(statement),
			durationMs,
			rowCount,
			error:
				error === undefined ? undefined : String(sqlState ?? code ?? "failed"),
		});
		this.#statements.sort((a, b) => b.durationMs - a.durationMs);
		this.#statements.length = Math.min(this.#statements.length, maxStatements);
	}

	#forget(): void {
		const oldest = Date.now() - maxAgeMs;
		this.#statements = this.#statements.filter(
			({ at }) => at.getTime() >= oldest,
		);
	}
}

/** A statement without values may contain them in its text. */
function textOf(statement: Sql | Statement): string {
	const { text, values } =
		"parts" in statement ? compile(statement) : statement;
	const shown =
		values.length === 0 ? text.replace(/'(?:[^']|'')*'/g, "'…'") : text;
	return shown.length > longestText ? `${shown.slice(0, longestText)}…` : shown;
}

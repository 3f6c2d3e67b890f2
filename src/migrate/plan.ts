import type { Database } from "../db/database.ts";
import { pendingBaseFiles, refuseNewer } from "./apply-base.ts";
import { diffSchema } from "./diff/diff.ts";
import type { Difference } from "./diff/difference.ts";
import type { Target } from "./expected.ts";
import { fileHistory } from "./history.ts";
import { readLedger } from "./ledger.ts";
import { filesOf, type MigrateOptions, pendingFiles } from "./migrate.ts";

/** What a migration would do. */
export interface MigrationPlan {
	/** Files, ours first, in the order in which they would be applied. */
	readonly files: readonly PlannedFile[];
	/** What models would change, and what they cannot; compared as long as no file is pending. */
	readonly differences: readonly Difference[];
}

export interface PlannedFile {
	/** As in the ledger. */
	readonly name: string;
	readonly text: string;
	/** The line of a dangerous statement that is not decided on: `migrate` refuses the file. */
	readonly undecidedLine?: number;
	/** Its schema, where tenants are spread over several. */
	readonly bucket?: string;
}

/** Returns what `migrate` would do, and changes nothing. */
export async function planMigration(
	db: Database,
	{ tables, options: diff }: Target,
	options: Pick<MigrateOptions, "migrations" | "to">,
): Promise<MigrationPlan> {
	const files = await filesOf(options);
	const ledger = await readLedger(db, diff.schema);
	refuseNewer(ledger, diff);
	const pending =
		files === undefined
			? []
			: pendingFiles(fileHistory(files, ledger), options.to);
	const theirs = pending.map(({ file: { name, text, undecidedLine } }) => ({
		name: `file:${name}`,
		text,
		...(undecidedLine === undefined ? {} : { undecidedLine }),
	}));
	return {
		files: [...pendingBaseFiles(ledger, diff), ...theirs],
		differences:
			options.to === undefined ? await diffSchema(db, tables, diff) : [],
	};
}

/** Something that is broken on purpose, again and again, and must hold. */
export interface ChaosCase {
	/** For `--only`. */
	readonly name: string;
	readonly run: (options: ChaosOptions) => Promise<ChaosResult>;
}

/** How much of it; a case reads what it has a use for. */
export interface ChaosOptions {
	/** Crashes of a server: of every kind in turn. */
	readonly cycles: number;
	/** Promotions of a synchronous standby. */
	readonly failovers: number;
	/** SIGKILLs of a process with the embedded database. */
	readonly kills: number;
	/** Entities that workers embed. */
	readonly entities: number;
	/** SIGKILLs of a process that embeds them. */
	readonly workerKills: number;
	/** Tells the person who waits what is under way. */
	readonly say: (line: string) => void;
}

export interface ChaosResult {
	/** What was done and compared, as lines `name: number`. */
	readonly figures: Readonly<Record<string, number>>;
	/** Every promise that was broken, in words; none: it held. */
	readonly violations: readonly string[];
}

/** Several parts of one case as one result: their figures are summed. */
export function mergeResults(results: readonly ChaosResult[]): ChaosResult {
	const figures: Record<string, number> = {};
	for (const result of results)
		for (const [what, figure] of Object.entries(result.figures))
			figures[what] = (figures[what] ?? 0) + figure;
	return {
		figures,
		violations: results.flatMap(({ violations }) => violations),
	};
}

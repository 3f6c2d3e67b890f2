/** One run of the program. */
export interface Invocation {
	/** Aborted by SIGINT or SIGTERM; what can stop half way listens to it. */
	readonly signal: AbortSignal;
	/** How to start this program again, for examples: `rem`. */
	readonly program: string;
	/** Set by commands whose answer is an exit code. */
	exitCode: number;
	/** A signal is how the command ends, and no failure: set by what runs until it is stopped. */
	endsBySignal: boolean;
}

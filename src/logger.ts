/** Names and counts that belong to a message: a table, an index, an SQLSTATE. */
export type LogFields = Readonly<
	Record<string, string | number | boolean | undefined>
>;

/**
 * What the library logs to: `pino()` and `console` both fit. No row content,
 * key, query text or tenant is ever logged, nor a value of a statement.
 */
export interface Logger {
	/** What is routine: a unit of work that is run again. */
	debug(fields: LogFields, message: string): void;
	info(fields: LogFields, message: string): void;
	/** What recovers by itself, or is retried: a lost connection, a cache that was emptied. */
	warn(fields: LogFields, message: string): void;
	/** What needs an operator: dead-lettered texts, an index that failed. */
	error(fields: LogFields, message: string): void;
}

/** The logger, which cannot make a call fail: what it throws, or rejects with, is dropped. */
export function shielded(logger: Logger): Logger {
	const to =
		(level: keyof Logger) =>
		(fields: LogFields, message: string): void => {
			try {
				const result: unknown = logger[level](fields, message);
				if (result instanceof Promise) result.catch(() => {});
			} catch {
				// There is nowhere left to log it.
			}
		};
	return {
		debug: to("debug"),
		info: to("info"),
		warn: to("warn"),
		error: to("error"),
	};
}

/** The default: a library does not print. */
export const silentLogger: Logger = {
	debug() {},
	info() {},
	warn() {},
	error() {},
};

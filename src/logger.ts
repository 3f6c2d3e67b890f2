/** What the library logs to; `console` and pino both fit. No row content is ever logged. */
export interface Logger {
	info(message: string): void;
	warn(message: string): void;
	error(message: string): void;
}

/** The default: a library does not print. */
export const silentLogger: Logger = {
	info() {},
	warn() {},
	error() {},
};

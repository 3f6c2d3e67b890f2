import pg from "pg";
import { afterAll, expect } from "vitest";
import { brokenRules } from "./statement-rules.ts";

// For the test files of the engine: every statement that the library sends is
// checked as it passes the driver, and one that Citus could not run fails the
// file. A text is checked once in a process.

interface Driver {
	query: (this: OwnClient, ...given: unknown[]) => unknown;
}

interface OwnClient {
	readonly connectionParameters?: { readonly application_name?: string };
}

interface Recorder {
	readonly seen: Set<string>;
	readonly found: string[];
}

const recorder = (globalThis as { remStatements?: Recorder }).remStatements;
const { found } = recorder ?? install();

afterAll(() => {
	const broken = found.splice(0);
	expect(broken, "statements that Citus cannot run").toEqual([]);
});

function install(): Recorder {
	const driver = pg.Client.prototype as unknown as Driver;
	const send = driver.query;
	const own: Recorder = { seen: new Set(), found: [] };
	driver.query = function (...given) {
		const [first] = given;
		const text =
			typeof first === "string"
				? first
				: (first as { text?: unknown } | null)?.text;
		if (typeof text === "string" && isOurs(this)) check(text, own);
		return send.apply(this, given);
	};
	Object.assign(globalThis, { remStatements: own });
	return own;
}

function isOurs(client: OwnClient): boolean {
	return (
		client.connectionParameters?.application_name === "remdb" ||
		client.constructor.name === "EmbeddedClient"
	);
}

function check(text: string, { seen, found }: Recorder): void {
	// Ids differ each time.
	const key = text.replaceAll(/'\{[0-9a-f,-]*\}'/g, "'{}'");
	if (seen.has(key)) return;
	seen.add(key);
	let rules: string[];
	try {
		rules = brokenRules(text);
	} catch {
		// A text that PostgreSQL refuses as well: its test is about that.
		return;
	}
	if (rules.length > 0 && isWrittenHere())
		found.push(`${rules.join("; ")}: ${text}`);
}

/** Whether the library wrote the statement, not a test that passes SQL of its own on. */
function isWrittenHere(): boolean {
	const { stackTraceLimit } = Error;
	Error.stackTraceLimit = 60;
	const { stack = "" } = new Error("where it comes from");
	Error.stackTraceLimit = stackTraceLimit;
	const frame = stack
		.split("\n")
		.slice(1)
		.find(
			(line) =>
				/[\\/](?:src|test)[\\/]/.test(line) &&
				!passesOn.test(line) &&
				!line.includes("node_modules") &&
				!line.includes("check-statements"),
		);
	return frame !== undefined && /[\\/]src[\\/]/.test(frame);
}

/** Files that send what they are given; migrations of the user's among them. */
const passesOn =
	/[\\/]src[\\/](?:db[\\/](?!catalogue)|calls[\\/]|util[\\/]|service[\\/]|core[\\/](?:tenant-handle|refusing-database)|migrate[\\/](?:run-file|step)|verbs[\\/]explaining-handle|telemetry[\\/])/;

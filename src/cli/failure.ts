import { CommanderError } from "commander";
import { type Issue, RemError } from "../errors.ts";
import { membersOf } from "../util/present.ts";
import { jsonText } from "./output/json-text.ts";
import { counted } from "./output/numbers.ts";
import { oneLine, plainText } from "./output/plain-text.ts";

/** What went wrong, as it is printed on stderr, and the exit code. */
export interface Failure {
	readonly exitCode: number;
	/** Lines for people; none: commander has printed them. */
	readonly lines: readonly string[];
	readonly json: Readonly<Record<string, unknown>>;
}

/** `command` is the one that was called, as far as there is one: `rem load`. */
export function describeFailure(error: unknown, command: string): Failure {
	if (error instanceof CommanderError) return commanderFailure(error, command);
	if (error instanceof UsageError) return usageFailure(error.message, command);
	if (error instanceof RemError) return remFailure(error);
	const message = error instanceof Error ? error.message : String(error);
	return {
		exitCode: 1,
		lines: [`error: ${oneLine(message)}`],
		json: { code: "INTERNAL", message },
	};
}

/** The text for stderr: lines, or one line of JSON. */
export function failureText({ lines, json }: Failure, isJson: boolean): string {
	if (lines.length === 0) return "";
	if (isJson) return `${jsonText({ error: json })}\n`;
	return lines.map((line) => `${plainText(line)}\n`).join("");
}

/** Help and version end this way too, with code 0; help for want of a command with 1. */
function commanderFailure(error: CommanderError, command: string): Failure {
	if (error.exitCode === 0) return { exitCode: 0, lines: [], json: {} };
	if (error.code === "commander.help")
		return { exitCode: 2, lines: [], json: {} };
	return usageFailure(error.message.replace(/^error: /, ""), command);
}

/** The first line is the message; a second one, "(Did you mean …?)", the hint. */
function usageFailure(text: string, command: string): Failure {
	const [message = "", advice = ""] = text.split("\n");
	const hint =
		advice === ""
			? `see ${command} --help`
			: advice.replace(/^\((.*)\)$/, "$1").replace(/^D/, "d");
	return {
		exitCode: 2,
		lines: [`error: ${oneLine(message)}`, ...hintLines(hint)],
		json: { code: "USAGE", message, hint },
	};
}

const shownIssues = 10;

function remFailure(error: RemError): Failure {
	// Some messages contain their issues already.
	const issues = error.issues.filter(
		({ message }) => !error.message.includes(message),
	);
	const more = issues.length - shownIssues;
	return {
		exitCode: 1,
		lines: [
			`error: ${oneLine(error.message)} [${error.code}]`,
			...issues.slice(0, shownIssues).map((issue) => `  ${issueLine(issue)}`),
			...(more > 0
				? [`  and ${counted(more, "more", "more")}: --json lists them all`]
				: []),
			...hintLines(error.hint),
		],
		json: error.toJSON(),
	};
}

function hintLines(hint: string | undefined): string[] {
	return hint === undefined ? [] : [`hint: ${oneLine(hint)}`];
}

/** `line 14, year: expected number, received string` */
export function issueLine(issue: Issue): string {
	const { file, line } = membersOf(issue);
	const row = issue.index === undefined ? [] : [`row ${issue.index + 1}`];
	const place =
		line === undefined ? (file === undefined ? row : [file]) : [`line ${line}`];
	const name = issue.field ? [issue.field] : [];
	const where = [...place, ...name].join(", ");
	const message = oneLine(issue.message);
	return where === "" ? message : `${where}: ${message}`;
}

/** The command was called in a way it cannot be: exit code 2. */
export class UsageError extends Error {
	override readonly name = "UsageError";
}

import { createInterface } from "node:readline/promises";
import { UsageError } from "../failure.ts";

/**
 * Whether a person confirms what cannot be taken back. `--yes` is the answer in
 * advance; where neither it nor a terminal is there, nothing is done.
 */
export function isConfirmed(
	{ yes = false }: { readonly yes?: boolean },
	command: string,
): (question: string) => Promise<boolean> {
	if (yes) return async () => true;
	if (process.stdin.isTTY !== true || process.stderr.isTTY !== true)
		throw new UsageError(
			`rem ${command} asks before it does anything, and there is no terminal to ask on\n(pass --yes to do it without being asked)`,
		);
	return ask;
}

async function ask(question: string): Promise<boolean> {
	const lines = createInterface({
		input: process.stdin,
		output: process.stderr,
	});
	try {
		const answer = await lines.question(`${question} [y/N] `);
		return /^y(?:es)?$/i.test(answer.trim());
	} finally {
		lines.close();
	}
}

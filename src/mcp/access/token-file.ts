import { readFileSync, statSync } from "node:fs";
import { RemError } from "../../errors.ts";
import type { Logger } from "../../logger.ts";
import { membersOf } from "../../util/present.ts";
import type { TokenVerifier } from "./access.ts";
import { tokenList } from "./token-list.ts";

/** The tokens of a file; warns where others than its owner may read it. */
export function tokenFile(path: string, logger: Logger): TokenVerifier {
	const text = readTokens(path);
	// Windows has other rights, which the mode does not show.
	const isOpen =
		process.platform !== "win32" && (statSync(path).mode & 0o077) !== 0;
	if (isOpen)
		logger.warn(
			{},
			`the token file ${path} can be read by others: chmod 600 ${path}`,
		);
	return tokenList(text, `the token file ${path}`);
}

function readTokens(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch (cause) {
		const { code } = membersOf(cause);
		throw new RemError(
			"CONFIG_INVALID",
			`the token file ${path} cannot be read: ${code ?? "unknown error"}`,
			{ hint: "name a file that exists with --tokens", cause },
		);
	}
}

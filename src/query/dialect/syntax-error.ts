import { RemError } from "../../errors.ts";

/** `QUERY_SYNTAX`: what is wrong, and at which character (from 1). */
export function syntaxError(
	message: string,
	index: number,
	hint?: string,
): RemError {
	return new RemError(
		"QUERY_SYNTAX",
		`${message}, at character ${index + 1}`,
		hint === undefined
			? { position: index + 1 }
			: { position: index + 1, hint },
	);
}

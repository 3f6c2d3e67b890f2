import { parseArgs } from "node:util";

export interface Arguments {
	readonly quick: boolean;
	readonly full: boolean;
	/** Names of cases; `undefined`: all. */
	readonly only: readonly string[] | undefined;
	readonly rounds: number;
	/** Where the figures go as JSON. */
	readonly jsonFile: string | undefined;
	/** Folder of the peers; empty: the user asks how to install them. */
	readonly peersFolder: string | undefined;
	readonly help: boolean;
}

export const usage = `npm run bench -- [options]

  --quick          everything small: a look in under a minute
  --full           search-speed also among 100,000 and a million rows: hours
  --only=A,B       only these cases
  --rounds=N       paired rounds, at least 5 (default 5)
  --json=FILE      also write the figures there
  --peers[=DIR]    measure other libraries, installed in DIR; without DIR, say how to install them

REM_TEST_DATABASE_URL names a PostgreSQL 18 to measure on (as a superuser); without it one is started.`;

const leastRounds = 5;

/** Throws with a message for the user when the arguments make no sense. */
export function readArguments(
	argv: readonly string[],
	caseNames: readonly string[],
): Arguments {
	const { values } = parseArgs({
		// An option with a value that may be left out, which parseArgs does not know.
		args: argv.map((text) => (text === "--peers" ? "--peers=" : text)),
		options: {
			quick: { type: "boolean", default: false },
			full: { type: "boolean", default: false },
			only: { type: "string" },
			rounds: { type: "string", default: String(leastRounds) },
			json: { type: "string" },
			peers: { type: "string" },
			help: { type: "boolean", default: false },
		},
	});
	const only = values.only?.split(",");
	for (const name of only ?? [])
		if (!caseNames.includes(name))
			throw new Error(
				`there is no case "${name}", only ${caseNames.join(", ")}`,
			);
	const rounds = Number(values.rounds);
	if (!Number.isInteger(rounds) || rounds < leastRounds)
		throw new Error(
			`expected --rounds to be ${leastRounds} or more, found "${values.rounds}"`,
		);
	return {
		quick: values.quick,
		full: values.full,
		only,
		rounds,
		jsonFile: values.json,
		peersFolder: values.peers,
		help: values.help,
	};
}

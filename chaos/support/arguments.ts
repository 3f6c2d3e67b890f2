import { parseArgs } from "node:util";

export interface Arguments {
	/** Names of cases; `undefined`: all. */
	readonly only: readonly string[] | undefined;
	readonly cycles: number;
	readonly failovers: number;
	readonly kills: number;
	readonly entities: number;
	readonly workerKills: number;
	readonly help: boolean;
}

export const usage = `npm run chaos -- [options]

  --only=A,B       only these cases
  --cycles=N       crashes of a server under load (default 8)
  --failovers=N    promotions of a synchronous standby under load (default 2)
  --kills=N        SIGKILLs of a process with the embedded database (default 3)
  --entities=N     entities that workers embed (default 5000)
  --worker-kills=N SIGKILLs of a process that embeds them (default 9)

Starts PostgreSQL 18 servers of its own on 127.0.0.1 and crashes only those.
Exit code 1: a promise was broken, or something could not be run.`;

/** Throws with a message for the user when the arguments make no sense. */
export function readArguments(
	argv: readonly string[],
	caseNames: readonly string[],
): Arguments {
	const { values } = parseArgs({
		args: [...argv],
		options: {
			only: { type: "string" },
			cycles: { type: "string", default: "8" },
			failovers: { type: "string", default: "2" },
			kills: { type: "string", default: "3" },
			entities: { type: "string", default: "5000" },
			"worker-kills": { type: "string", default: "9" },
			help: { type: "boolean", default: false },
		},
	});
	const only = values.only?.split(",");
	for (const name of only ?? [])
		if (!caseNames.includes(name))
			throw new Error(
				`there is no case "${name}", only ${caseNames.join(", ")}`,
			);
	return {
		only,
		cycles: wholeNumber("cycles", values.cycles),
		failovers: wholeNumber("failovers", values.failovers),
		kills: wholeNumber("kills", values.kills),
		entities: wholeNumber("entities", values.entities),
		workerKills: wholeNumber("worker-kills", values["worker-kills"]),
		help: values.help,
	};
}

function wholeNumber(name: string, text: string): number {
	const value = Number(text);
	if (text !== "" && Number.isInteger(value) && value >= 0) return value;
	throw new Error(
		`expected --${name} to be a whole number from 0, found "${text}"`,
	);
}

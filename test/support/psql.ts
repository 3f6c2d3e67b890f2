import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { findPostgres } from "../../scripts/postgres-server.ts";

/** Runs psql of the server's own installation; the text comes in on stdin, so it may be anywhere. */
export async function psql(url: string, text: string): Promise<void> {
	const found = await findPostgres();
	if ("reason" in found) throw new Error(found.reason);
	const args = [url, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "-f-"];
	const [command = "", ...rest] =
		found.kind === "docker"
			? ["docker", "run", "--rm", "-i", "--network=host", found.image, "psql"]
			: [...found.prefix, join(found.bin, "psql")];
	const done = spawnSync(command, [...rest, ...args], {
		input: text,
		encoding: "utf8",
	});
	if (done.status !== 0)
		throw new Error(`psql ended with ${done.status}: ${done.stderr}`);
}

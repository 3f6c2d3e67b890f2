import { existsSync, readFileSync } from "node:fs";
import type { PostgresService } from "remdb";

/** The time that this process and one connection's server process have worked, in milliseconds. */
export class ProcessorTime {
	readonly #file: string;

	private constructor(file: string) {
		this.#file = file;
	}

	/** `undefined`: the server is not a process of this Linux. */
	static async of(
		service: Pick<PostgresService, "execute">,
	): Promise<ProcessorTime | undefined> {
		const { rows } = await service.execute<{ pid: number }>(
			"SELECT pg_backend_pid() AS pid",
		);
		const file = `/proc/${rows[0]?.pid}/schedstat`;
		return existsSync(file) ? new ProcessorTime(file) : undefined;
	}

	read(): number {
		const { user, system } = process.cpuUsage();
		const [nanoseconds] = readFileSync(this.#file, "utf8").split(" ");
		return (user + system) / 1000 + Number(nanoseconds) / 1e6;
	}
}

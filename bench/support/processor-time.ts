import { existsSync, readFileSync } from "node:fs";
import type { Client } from "pg";
import type { PostgresService } from "remdb";

const ownProcess = "SELECT pg_backend_pid() AS pid";

/** The time that this process and one connection's server process have worked, in milliseconds. */
export class ProcessorTime {
	readonly #file: string;

	private constructor(file: string) {
		this.#file = file;
	}

	/** Of a service with one connection. `undefined`: the server is not a process of this Linux. */
	static async of(
		service: Pick<PostgresService, "execute">,
	): Promise<ProcessorTime | undefined> {
		const { rows } = await service.execute<{ pid: number }>(ownProcess);
		return ProcessorTime.#ofProcess(rows[0]?.pid);
	}

	/** The same for a connection of its own. */
	static async ofServer(client: Client): Promise<ProcessorTime | undefined> {
		const { rows } = await client.query<{ pid: number }>(ownProcess);
		return ProcessorTime.#ofProcess(rows[0]?.pid);
	}

	static #ofProcess(pid: number | undefined): ProcessorTime | undefined {
		const file = `/proc/${pid}/schedstat`;
		return existsSync(file) ? new ProcessorTime(file) : undefined;
	}

	read(): number {
		const { user, system } = process.cpuUsage();
		return (user + system) / 1000 + this.readServer();
	}

	readServer(): number {
		const [nanoseconds] = readFileSync(this.#file, "utf8").split(" ");
		return Number(nanoseconds) / 1e6;
	}
}

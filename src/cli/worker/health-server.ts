import { createServer, type Server } from "node:http";
import { RemError } from "../../errors.ts";
import { membersOf } from "../../util/present.ts";

/** Why the process is not ready, as a word for machines; `undefined`: it is. */
export type Readiness = () => Promise<string | undefined>;

/**
 * Answers the probes of an orchestrator: `/livez` as long as the process runs,
 * whatever the database does, for a restart would not help; `/readyz` by the
 * given check. Nothing else is served.
 */
export class HealthServer {
	readonly port: number;
	readonly #server: Server;

	private constructor(server: Server) {
		this.#server = server;
		this.port = Number(membersOf(server.address()).port);
	}

	/** Port 0 takes a free one. */
	static start(port: number, readiness: Readiness): Promise<HealthServer> {
		const server = createServer(async (request, response) => {
			const { status, body } = await answer(request.url, readiness);
			response.writeHead(status, {
				"content-type": "application/json",
				"cache-control": "no-store",
			});
			response.end(`${JSON.stringify(body)}\n`);
		});
		return new Promise((resolve, reject) => {
			server.once("error", (error) => reject(cannotListen(port, error)));
			server.listen(port, () => resolve(new HealthServer(server)));
		});
	}

	async close(): Promise<void> {
		await new Promise((resolve) => {
			this.#server.close(resolve);
			this.#server.closeAllConnections();
		});
	}
}

async function answer(
	path: string | undefined,
	readiness: Readiness,
): Promise<{ status: number; body: object }> {
	switch (path) {
		case "/livez":
			return { status: 200, body: { status: "alive" } };
		case "/readyz": {
			const reason = await readiness();
			return reason === undefined
				? { status: 200, body: { status: "ready" } }
				: { status: 503, body: { status: "not ready", reason } };
		}
		default:
			return { status: 404, body: { paths: ["/livez", "/readyz"] } };
	}
}

function cannotListen(port: number, error: NodeJS.ErrnoException): RemError {
	return new RemError(
		"CONFIG_INVALID",
		`cannot listen on port ${port}: ${error.code ?? error.message}`,
		{ hint: "choose another --health-port", cause: error },
	);
}

// Stands for your application in the deployments next door: it answers
// LOOKUPs, tells the probes how it is, and drains when it is told to stop.
import { createServer } from "node:http";
import { PostgresService } from "remdb";

const service = await PostgresService.connect({ logger: console });
let isStopping = false;

const server = createServer(async (request, response) => {
	try {
		const { status, body } = await answer(
			new URL(request.url ?? "/", "http://app"),
		);
		response.writeHead(status, { "content-type": "application/json" });
		response.end(JSON.stringify(body));
	} catch (error) {
		console.error(error);
		response.writeHead(503, { "retry-after": "1" });
		response.end(JSON.stringify({ error: error.code ?? "INTERNAL" }));
	}
});

async function answer({ pathname, searchParams }) {
	// The process lives: nothing is asked of the database, whose failure a
	// restart would not mend.
	if (pathname === "/livez") return { status: 200, body: {} };
	if (pathname === "/readyz") return { status: await readiness(), body: {} };
	const entityKey = pathname.match(/^\/lookup\/(.+)$/)?.[1];
	if (entityKey === undefined) return { status: 404, body: {} };
	const hit = await service.lookupEntity({
		entityKey: decodeURIComponent(entityKey),
		tenantId: searchParams.get("tenant") ?? undefined,
	});
	return hit === undefined
		? { status: 404, body: {} }
		: { status: 200, body: hit };
}

/** Ready when a LOOKUP works, whether from the cache or from the tables. */
async function readiness() {
	if (isStopping) return 503;
	await service.lookupEntity({ entityKey: "readyz" });
	return 200;
}

server.listen(Number(process.env.PORT ?? 8080), () =>
	console.log(`listening on ${server.address().port}`),
);

for (const signal of ["SIGTERM", "SIGINT"])
	process.once(signal, () => {
		// Requests still arrive until every proxy knows that we are leaving.
		isStopping = true;
		setTimeout(
			() => {
				server.close(() => service.close());
				server.closeIdleConnections();
			},
			Number(process.env.DRAIN_MS ?? 5000),
		);
	});

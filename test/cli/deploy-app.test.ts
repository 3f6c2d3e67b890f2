import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PostgresService } from "../../src/index.ts";

// deploy/app/server.mjs, with the built package and an embedded database.

const script = fileURLToPath(
	new URL("../../deploy/app/server.mjs", import.meta.url),
);
const folder = mkdtempSync(join(tmpdir(), "rem-app-"));
const url = `file:${folder}/db`;

let app: ChildProcess;
let address: string;
beforeAll(async () => {
	const service = await PostgresService.connect({ connectionString: url });
	await service.migrate();
	await service.batchUpsert({
		tableName: "resources",
		entities: [{ name: "Sarah Chen", tenantId: "acme" }],
	});
	await service.close();
	app = spawn(process.execPath, [script], {
		env: {
			PATH: process.env.PATH,
			POSTGRES__CONNECTION_STRING: url,
			PORT: "0",
			DRAIN_MS: "0",
		},
		stdio: ["ignore", "pipe", "inherit"],
	});
	let output = "";
	for await (const chunk of app.stdout as NodeJS.ReadableStream) {
		output += chunk;
		const port = output.match(/listening on (\d+)/)?.[1];
		if (port === undefined) continue;
		address = `http://127.0.0.1:${port}`;
		break;
	}
});
afterAll(() => {
	app.kill("SIGKILL");
	rmSync(folder, { recursive: true, force: true });
});

test("the application answers probes and LOOKUPs, and drains on SIGTERM", async () => {
	const get = (path: string) => fetch(`${address}${path}`);
	expect((await get("/livez")).status).toBe(200);
	expect((await get("/readyz")).status).toBe(200);
	const hit = await get("/lookup/sarah-chen?tenant=acme");
	expect(await hit.json()).toMatchObject({
		entityKey: "Sarah Chen",
		entityType: "resources",
	});
	expect((await get("/lookup/sarah-chen?tenant=other")).status).toBe(404);
	expect((await get("/nowhere")).status).toBe(404);
	const exited = once(app, "exit");
	app.kill("SIGTERM");
	expect(await exited).toEqual([0, null]);
});

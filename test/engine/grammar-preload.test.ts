import { afterEach, expect, test, vi } from "vitest";
import { createDatabase } from "../support/engine.ts";

afterEach(() => {
	vi.doUnmock("libpg-query");
	vi.resetModules();
});

test("a service loads the grammar of conditions before the first one needs it", async () => {
	let loads = 0;
	vi.doMock("libpg-query", async () => {
		const parser =
			await vi.importActual<typeof import("libpg-query")>("libpg-query");
		const loadModule = () => {
			loads++;
			return parser.loadModule();
		};
		return { ...parser, loadModule };
	});
	// Other files of this process have loaded it already.
	vi.resetModules();
	const { PostgresService } = await import("../../src/index.ts");
	const { url, drop } = await createDatabase();
	const service = await PostgresService.connect({ connectionString: url });
	await expect.poll(() => loads).toBe(1);
	expect(
		await service.query('SEARCH resources "a" WHERE name = 1').catch(() => {}),
	).toBeUndefined();
	expect(loads).toBe(1);
	await service.close();
	await drop();
});

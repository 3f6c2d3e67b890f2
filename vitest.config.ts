import { defineConfig } from "vitest/config";
import { acquireTestServer, findPostgres } from "./scripts/postgres-server.ts";

/**
 * The suite runs twice: on the embedded database and on a PostgreSQL 18 server
 * (REM_TEST_DATABASE_URL, else one that is started here). The project `chaos`
 * crashes servers of its own. With REM_TEST_REQUIRE_SERVER set, as in CI, it
 * fails without one.
 */
export default defineConfig(async () => {
	const server = await acquireTestServer();
	if ("reason" in server)
		sayWhatIsMissing(
			server.reason,
			"THE SERVER HALF OF THE SUITE DOES NOT RUN: set REM_TEST_DATABASE_URL or install docker",
		);
	const installation = await findPostgres();
	if ("reason" in installation)
		sayWhatIsMissing(
			installation.reason,
			"NO SERVER IS CRASHED: install PostgreSQL 18 with pgvector, or docker",
		);
	const url = "url" in server ? server.url : undefined;
	const project = (name: string, include: string[], engine: string) => ({
		extends: true as const,
		test: {
			name,
			include,
			env: {
				REM_TEST_ENGINE: engine,
				...(url === undefined ? {} : { REM_TEST_DATABASE_URL: url }),
			},
		},
	});
	return {
		test: {
			pool: "forks" as const,
			maxWorkers: 2,
			testTimeout: 30_000,
			hookTimeout: 60_000,
			setupFiles: ["test/support/no-deprecation.ts"],
			expect: { poll: { timeout: 20_000 } },
			typecheck: { enabled: false },
			projects: [
				project("unit", ["test/unit/**/*.test.ts"], "none"),
				project("embedded", ["test/engine/**/*.test.ts"], "embedded"),
				...(url === undefined
					? []
					: [project("server", ["test/engine/**/*.test.ts"], "server")]),
				project("cli", ["test/cli/**/*.test.ts"], "none"),
				project("package", ["test/package/**/*.test.ts"], "none"),
				...("reason" in installation
					? []
					: [project("chaos", ["test/chaos/**/*.test.ts"], "server")]),
			],
		},
	};
});

function sayWhatIsMissing(reason: string, consequence: string): void {
	const message = `PostgreSQL 18 is not available: ${reason}`;
	if (process.env.REM_TEST_REQUIRE_SERVER !== undefined)
		throw new Error(message);
	console.warn(`\n*** ${message}\n*** ${consequence}\n`);
}

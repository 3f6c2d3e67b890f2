import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BenchDatabase } from "./bench-database.ts";
import type { StagedRows } from "./staged-rows.ts";

/** `psql (PostgreSQL) 15.18`; `undefined`: there is none on this machine. */
export function psqlVersion(): string | undefined {
	const { status, stdout } = spawnSync("psql", ["--version"], {
		encoding: "utf8",
	});
	return status === 0 ? stdout.trim() : undefined;
}

/** The staged rows as files, and the time that psql takes to copy them into the tables. */
export class PsqlCopy {
	readonly #url: string;
	readonly #staged: StagedRows;
	readonly #folder = mkdtempSync(join(tmpdir(), "rem-bench-"));

	constructor(database: BenchDatabase, staged: StagedRows) {
		this.#url = database.url;
		this.#staged = staged;
		this.#psql(
			staged.tables.map(
				({ table, columns }) =>
					`\\copy (SELECT ${columns} FROM stage_${table}) TO '${this.#file(table)}' WITH (FORMAT binary)`,
			),
		);
	}

	/** Milliseconds of both \copy and their COMMIT, as psql's \timing counts: its start is not among them. */
	run(): number {
		const output = this.#psql([
			"\\timing on",
			"BEGIN;",
			...this.#staged.tables.map(
				({ table, columns }) =>
					`\\copy ${table} (${columns}) FROM '${this.#file(table)}' WITH (FORMAT binary)`,
			),
			"COMMIT;",
		]);
		const times = [...output.matchAll(/^Time: ([\d.]+) ms/gm)];
		if (times.length !== this.#staged.tables.length + 2)
			throw new Error(`psql printed no times:\n${output}`);
		return times.reduce((sum, [, ms]) => sum + Number(ms), 0);
	}

	remove(): void {
		rmSync(this.#folder, { recursive: true });
	}

	#file(table: string): string {
		return join(this.#folder, `${table}.bin`);
	}

	#psql(lines: readonly string[]): string {
		const { hostname, port, username, password, pathname } = new URL(this.#url);
		const { status, stdout, stderr } = spawnSync(
			"psql",
			["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"],
			{
				input: `${lines.join("\n")}\n`,
				encoding: "utf8",
				env: {
					...process.env,
					LC_ALL: "C",
					PGHOST: hostname,
					PGPORT: port || "5432",
					PGUSER: decodeURIComponent(username),
					PGPASSWORD: decodeURIComponent(password),
					PGDATABASE: pathname.slice(1),
				},
			},
		);
		if (status !== 0) throw new Error(`psql failed: ${stderr}`);
		return stdout;
	}
}

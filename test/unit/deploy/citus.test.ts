import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { extensionNames } from "../../../src/db/session-settings.ts";
import { deployFolder, documents } from "../../support/deploy/manifests.ts";

// deploy/citus: that its files name each other rightly. A cluster of it was not
// started here; test/proofs/citus runs on one.

const folder = join(deployFolder, "citus");
const read = (name: string) => readFileSync(join(folder, name), "utf8");
// YAML 1.1 has the merges.
const [compose] = documents(`%YAML 1.1\n---\n${read("compose.yaml")}`);
const nodes = ["coordinator", "worker-1", "worker-2"];

test("every node runs the image that has pgvector, with the settings of the guide", () => {
	const guide = read("README.md");
	for (const name of nodes) {
		const { image, build, command, volumes } = compose.services[name];
		expect(image).toBe(compose.services.register.image);
		expect(existsSync(join(folder, build.dockerfile))).toBe(true);
		for (const setting of command.filter((part: string) =>
			/^(?:shared_pre|max_prep|wal_level)/.test(part),
		))
			expect(guide).toContain(setting.split("=")[0]);
		expect(command).toContain("max_prepared_transactions=200");
		for (const volume of volumes) {
			const [source] = volume.split(":");
			if (source.startsWith("./"))
				expect(existsSync(join(folder, source))).toBe(true);
			else expect(Object.keys(compose.volumes)).toContain(source);
		}
	}
});

test("every worker is registered by the name of its service", () => {
	const registered = [
		...read("register.sql").matchAll(/(?:host|node)\('([^']+)'/g),
	].map(([, name]) => name);
	expect(registered).toEqual(nodes);
});

test("every node has the extensions, and the settings that the guide asks for", () => {
	const sql = read("node.sql");
	for (const name of ["citus", ...extensionNames])
		expect(sql).toContain(`CREATE EXTENSION IF NOT EXISTS ${name};`);
	const guide = read("README.md");
	const settings = [
		...sql.matchAll(/ALTER DATABASE remdb SET (citus\.\w+)/g),
	].map(([, name = ""]) => name);
	expect(settings).toHaveLength(3);
	for (const setting of settings) expect(guide).toContain(`\`${setting} = `);
});

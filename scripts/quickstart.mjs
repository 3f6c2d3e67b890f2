// Runs `rem quickstart` in a clone: builds first if dist/ is missing or older than src/.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const command = join(root, "dist/cli/main.js");
const stamp = join(root, "assets/embedded-snapshot.json");

const isBuilt = existsSync(command) && existsSync(stamp);
if (!isBuilt || newest(join(root, "src")) > statSync(command).mtimeMs) {
	console.error("building …");
	run(join(root, "scripts/build.mjs"));
}
run(command, "quickstart", ...process.argv.slice(2));

function newest(folder) {
	const times = readdirSync(folder, { recursive: true }).map(
		(name) => statSync(join(folder, name)).mtimeMs,
	);
	return Math.max(...times);
}

function run(...args) {
	const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
	if (status !== 0) process.exit(status ?? 1);
}

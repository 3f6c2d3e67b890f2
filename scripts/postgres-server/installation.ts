import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const MAJOR = "18";
const IMAGE = `pgvector/pgvector:0.8.7-pg${MAJOR}`;
const DEBIAN_BIN = `/usr/lib/postgresql/${MAJOR}/bin`;
const EXTENSIONS = ["vector", "pg_trgm", "btree_gin"];
const AS_POSTGRES = [
	"setpriv",
	"--reuid=postgres",
	"--regid=postgres",
	"--init-groups",
];

/** Messages in English, and times that do not depend on the machine. */
const PLAIN = { LC_ALL: "C", TZ: "UTC" };

/** PostgreSQL's programs, as files that a child process can run. */
export interface Programs {
	readonly kind: "programs";
	/** The folder of `postgres` and `initdb`, seen from inside `root`. */
	readonly bin: string;
	/** The folder that the programs see as `/`. */
	readonly root: string;
	/** What the programs see of {@link MEMORY}. */
	readonly memory: string;
	/** The command to put before a program: it enters `root` and drops root's rights. */
	readonly prefix: readonly string[];
}

/** Where Linux has files in memory. */
export const MEMORY = "/dev/shm";

export interface DockerImage {
	readonly kind: "docker";
	readonly image: string;
}

export type Installation = Programs | DockerImage;

/** Why something is not to be had here. */
export interface Missing {
	readonly reason: string;
}

/** Finds PostgreSQL 18 with pgvector: local, else docker, else installed now. */
export async function findPostgres(): Promise<Installation | Missing> {
	const reasons: string[] = [];
	for (const find of [findLocal, findDocker, findOrInstallDebian]) {
		const found = await find();
		if (!("reason" in found)) return found;
		reasons.push(found.reason);
	}
	return { reason: `no PostgreSQL ${MAJOR} here: ${reasons.join("; ")}` };
}

/** Where the installation and the records of running servers are kept. */
export function cacheFolder(): string {
	const { REM_TEST_CACHE, XDG_CACHE_HOME } = process.env;
	const folder =
		REM_TEST_CACHE ||
		join(XDG_CACHE_HOME || join(homedir(), ".cache"), "remdb");
	mkdirSync(folder, { recursive: true });
	return folder;
}

/** Tells the person at the terminal what takes time; stdout is for the URL. */
export function say(message: string): void {
	process.stderr.write(`postgres-server: ${message}\n`);
}

/** What a short command prints, or undefined when it fails or hangs. */
export function output(
	command: string,
	args: readonly string[],
	timeout = 5_000,
): string | undefined {
	const env = { ...process.env, ...PLAIN };
	const done = spawnSync(command, args, { encoding: "utf8", env, timeout });
	return done.status === 0 ? done.stdout.trim() : undefined;
}

/** Runs a command; returns the end of its output if it failed. */
export function failureOf(
	command: string,
	args: readonly string[],
	variables: Readonly<Record<string, string>> = {},
): Promise<string | undefined> {
	return new Promise((resolve) => {
		const env = { ...process.env, ...PLAIN, ...variables };
		const child = spawn(command, args, {
			env,
			stdio: ["ignore", "pipe", "pipe"],
		});
		let text = "";
		const collect = (data: Buffer) => {
			text += data;
		};
		child.stdout.on("data", collect);
		child.stderr.on("data", collect);
		child.once("error", (error) => resolve(error.message));
		child.once("close", (code) =>
			resolve(code === 0 ? undefined : lastLines(text) || `exit code ${code}`),
		);
	});
}

/** The last 20 lines: where installers and servers say what stopped them. */
export function lastLines(text: string): string {
	return text.trimEnd().split("\n").slice(-20).join("\n");
}

function findLocal(): Installation | Missing {
	const folders = [output("pg_config", ["--bindir"]), DEBIAN_BIN];
	const bin = folders.find((folder) => folder && isComplete(folder));
	if (!bin) {
		return { reason: `no local binaries of version ${MAJOR} with pgvector` };
	}
	const place = { kind: "programs", bin, root: "/", memory: MEMORY } as const;
	if (!isRoot()) return { ...place, prefix: [] };
	// PostgreSQL refuses to run as root.
	const [command = "", ...args] = AS_POSTGRES;
	return output(command, [...args, "true"]) === undefined
		? { reason: `${bin} is here, but no way to run it as user postgres` }
		: { ...place, prefix: AS_POSTGRES };
}

function isComplete(bin: string): boolean {
	const version = output(join(bin, "pg_config"), ["--version"]) ?? "";
	const share = output(join(bin, "pg_config"), ["--sharedir"]) ?? "";
	return (
		version.startsWith(`PostgreSQL ${MAJOR}`) &&
		existsSync(join(bin, "initdb")) &&
		EXTENSIONS.every((name) =>
			existsSync(join(share, "extension", `${name}.control`)),
		)
	);
}

async function findDocker(): Promise<Installation | Missing> {
	if (!output("docker", ["info", "--format", "{{.ServerVersion}}"])) {
		return { reason: "docker does not answer" };
	}
	if (output("docker", ["image", "inspect", IMAGE]) === undefined) {
		say(`pulling the docker image ${IMAGE} (once)`);
		const failure = await failureOf("docker", ["pull", "--quiet", IMAGE]);
		if (failure) return { reason: `docker pull failed:\n${failure}` };
	}
	return { kind: "docker", image: IMAGE };
}

async function findOrInstallDebian(): Promise<Installation | Missing> {
	if (process.platform !== "linux" || !isRoot()) {
		return { reason: "debootstrap needs root on Linux" };
	}
	const root = join(cacheFolder(), `postgresql-${MAJOR}`);
	const failure = existsSync(root) ? undefined : await installDebian(root);
	if (failure) return { reason: `debootstrap failed:\n${failure}` };
	const enter = ["unshare", "--mount", "sh", "-c", ENTER, "sh", root];
	return {
		kind: "programs",
		bin: DEBIAN_BIN,
		root,
		memory: "/mnt",
		prefix: [...enter, ...AS_POSTGRES],
	};
}

function isRoot(): boolean {
	return process.getuid?.() === 0;
}

/**
 * Every server gets a /dev/shm of its own, in memory as on any machine, and the
 * private mount namespace takes it away with the server's last process. The
 * machine's own, for data in memory, is /mnt.
 */
const ENTER = `
if [ -d ${MEMORY} ]; then mount --bind ${MEMORY} "$1/mnt"; fi
mount -t tmpfs tmpfs "$1/dev/shm" && exec chroot "$@"`;

/** Returns the end of the installer's output when it failed. */
async function installDebian(root: string): Promise<string | undefined> {
	if (output("apt-get", ["--version"]) === undefined) {
		return "it needs apt-get, to find a Debian mirror";
	}
	say(`installing PostgreSQL ${MAJOR} into ${root} (a minute, once)`);
	const started = Date.now();
	// The kernel drops flock's lock and the mounts of debootstrap however the
	// installer ends, so that nothing stale stands in the way of the next one.
	const lock = ["--mount", "flock", `${root}.lock`];
	const script = ["sh", "-euc", INSTALL, "sh", root];
	const failure = await failureOf("unshare", [...lock, ...script], {
		DEBIAN_FRONTEND: "noninteractive",
	});
	if (failure) return failure;
	say(`installed in ${Math.round((Date.now() - started) / 1000)} s`);
	return undefined;
}

/**
 * apt says which mirror it uses, whatever the format of its sources, but only
 * once it has lists. The rename makes a half-finished installation invisible.
 */
const INSTALL = `
if [ -d "$1" ]; then exit; fi
mirror() {
	apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' |
		sed -n 's/^Debian Debian //p' | head -n 1
}
if [ -z "$(mirror)" ]; then apt-get update; fi
mirror=$(mirror)
if [ -z "$mirror" ]; then echo "apt's sources name no Debian mirror"; exit 1; fi
if ! command -v debootstrap; then
	apt-get install -y debootstrap ||
		{ apt-get update && apt-get install -y debootstrap; }
fi
scripts=/usr/share/debootstrap/scripts
if [ ! -e $scripts/forky ]; then ln -s sid $scripts/forky; fi
rm -rf "$1.building"
debootstrap --variant=minbase \\
	--include=postgresql-${MAJOR},postgresql-${MAJOR}-pgvector,pgbouncer \\
	forky "$1.building" "$mirror"
rm -f "$1.building"/var/cache/apt/archives/*.deb
mv "$1.building" "$1"
`;

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
	appendFileSync,
	closeSync,
	existsSync,
	openSync,
	readFileSync,
	statfsSync,
} from "node:fs";
import { freemem } from "node:os";
import { join } from "node:path";
import {
	type DockerImage,
	failureOf,
	type Installation,
	MEMORY,
	output,
	type Programs,
} from "./installation.ts";
import { type Pooler, type PoolerOptions, startPooler } from "./pooler.ts";
import {
	type ContainerPlace,
	endSurvivors,
	markProcess,
	type ProcessPlace,
} from "./records.ts";

/** What a server is told when it is created. */
export interface ServerPlan {
	readonly port: number;
	readonly password: string;
	readonly settings: Readonly<Record<string, string>>;
	/** Where the system can: the server ends even when its parent is killed. */
	readonly endsWithParent: boolean;
	/** A running server whose files this one begins with, instead of empty ones. */
	readonly copyOf?: CopySource | undefined;
	/** Whether its files are in memory, where there is room for them. */
	readonly isInMemory: boolean;
}

export interface CopySource {
	readonly port: number;
	/** Whether it follows that server, until it is promoted. */
	readonly asStandby: boolean;
}

/** What differs between a child process and a container. */
export interface Runner {
	readonly dataFolder: string;
	place(): ProcessPlace | ContainerPlace;
	/** Makes the data folder. */
	create(): Promise<void>;
	/** Starts the server, without waiting until it answers. */
	launch(): Promise<void>;
	/** The postmaster's, while it runs. */
	pid(): number | undefined;
	signal(signal: NodeJS.Signals): void;
	/** Signals one of the server's processes, by the pid that PostgreSQL shows. */
	signalBackend(pid: number, signal: NodeJS.Signals): void;
	/** Starts a PgBouncer in front of the server. */
	startPooler(options: PoolerOptions): Promise<Pooler>;
	/** What the server wrote since its last launch. */
	log(): string;
}

export function runnerFor(
	installation: Installation,
	plan: ServerPlan,
): Runner {
	return installation.kind === "programs"
		? new ProcessRunner(installation, plan)
		: new DockerRunner(installation, plan);
}

const INITDB_OPTIONS = [
	"--encoding=UTF8",
	"--locale=C.UTF-8",
	"--locale-provider=builtin",
	"--builtin-locale=C.UTF-8",
	"--data-checksums",
	// The password is random: to repeat its hash 4,096 times would take each connection
	// of a client 2 ms of processor time.
	"--set=scram_iterations=1",
];

class ProcessRunner implements Runner {
	readonly dataFolder: string;
	readonly #programs: Programs;
	readonly #plan: ServerPlan;
	/** The server's folder as the server sees it, and as this process does. */
	readonly #inside: string;
	readonly #outside: string;
	#child: ChildProcess | undefined;
	#logStart = 0;

	constructor(programs: Programs, plan: ServerPlan) {
		this.#programs = programs;
		this.#plan = plan;
		const name = newName();
		// Short, for the socket's name; on disk, where /tmp may be in memory.
		const disk = `/var/tmp/${name}`;
		[this.#inside, this.#outside] =
			plan.isInMemory && hasMemory()
				? [join(programs.memory, name), join(MEMORY, name)]
				: [disk, join(programs.root, disk)];
		this.dataFolder = join(this.#outside, "data");
	}

	place(): ProcessPlace {
		const place = { kind: "process", folder: this.#outside } as const;
		const pid = this.pid();
		return pid ? { ...place, postmaster: markProcess(pid) } : place;
	}

	async create(): Promise<void> {
		const { bin } = this.#programs;
		const { copyOf } = this.#plan;
		const make =
			copyOf === undefined
				? ["sh", "-euc", CREATE, "sh", this.#inside, bin, ...INITDB_OPTIONS]
				: ["sh", "-euc", COPY, "sh", this.#inside, bin, ...copyOptions(copyOf)];
		const [command = "sh", ...args] = [...this.#programs.prefix, ...make];
		const failure = await failureOf(command, args, {
			PASSWORD: this.#plan.password,
			PGPASSWORD: this.#plan.password,
			SETTINGS: settingsFile({
				...this.#plan.settings,
				listen_addresses: "127.0.0.1",
				port: String(this.#plan.port),
				unix_socket_directories: join(this.#inside, "socket"),
			}),
		});
		if (failure) throw new Error(`no data folder was made:\n${failure}`);
	}

	/**
	 * The prefix and setpriv replace themselves by PostgreSQL: the child's pid is
	 * the postmaster's. A session of its own keeps the terminal's Ctrl-C away.
	 */
	async launch(): Promise<void> {
		endSurvivors(this.dataFolder);
		this.#logStart = this.#readLog().length;
		const postgres = join(this.#programs.bin, "postgres");
		const [command = postgres, ...args] = [
			...this.#programs.prefix,
			...(this.#plan.endsWithParent ? endWithParent() : []),
			postgres,
			"-D",
			join(this.#inside, "data"),
		];
		const log = openSync(this.#logFile(), "a", 0o600);
		const child = spawn(command, args, {
			cwd: "/",
			detached: true,
			stdio: ["ignore", log, log],
		});
		closeSync(log);
		child.once("error", (error) =>
			appendFileSync(this.#logFile(), `${error.message}\n`),
		);
		child.unref();
		this.#child = child;
	}

	pid(): number | undefined {
		const child = this.#child;
		const runs = child?.exitCode === null && child.signalCode === null;
		return runs ? child.pid : undefined;
	}

	signal(signal: NodeJS.Signals): void {
		// Through the child: Node knows when it has ended, so that the signal can
		// never reach another process that was given its pid.
		this.#child?.kill(signal);
	}

	signalBackend(pid: number, signal: NodeJS.Signals): void {
		process.kill(pid, signal);
	}

	startPooler(options: PoolerOptions): Promise<Pooler> {
		return startPooler(
			{
				root: this.#programs.root,
				prefix: [
					...this.#programs.prefix,
					...(this.#plan.endsWithParent ? endWithParent() : []),
				],
				folder: this.#inside,
				outside: this.#outside,
				serverPort: this.#plan.port,
				password: this.#plan.password,
			},
			options,
		);
	}

	log(): string {
		return this.#readLog().slice(this.#logStart);
	}

	#logFile(): string {
		return join(this.#outside, "log");
	}

	#readLog(): string {
		return existsSync(this.#logFile())
			? readFileSync(this.#logFile(), "utf8")
			: "";
	}
}

/**
 * Whether the databases of a test run fit in memory beside the processes that use
 * them: they take up to 1 GB.
 */
function hasMemory(): boolean {
	if (process.platform !== "linux" || !existsSync(MEMORY)) return false;
	const { type, bavail, bsize } = statfsSync(MEMORY);
	const room = 4 * 2 ** 30;
	return type === TMPFS && Math.min(bavail * bsize, freemem()) > room;
}

const TMPFS = 0x01021994;

/** In: the server's folder, PostgreSQL's, initdb's options. Runs as postgres. */
const CREATE = `
folder=$1 bin=$2
shift 2
umask 077
mkdir "$folder" "$folder/socket"
printf %s "$PASSWORD" >"$folder/password"
"$bin/initdb" --pgdata="$folder/data" --username=postgres \\
	--auth=scram-sha-256 --pwfile="$folder/password" "$@"
rm "$folder/password"
printf %s "$SETTINGS" >>"$folder/data/postgresql.conf"
`;

/** In: the server's folder, PostgreSQL's, pg_basebackup's options. Runs as postgres. */
const COPY = `
folder=$1 bin=$2
shift 2
umask 077
mkdir "$folder" "$folder/socket"
"$bin/pg_basebackup" --pgdata="$folder/data" --checkpoint=fast --wal-method=stream "$@"
printf %s "$SETTINGS" >>"$folder/data/postgresql.conf"
`;

function copyOptions({ port, asStandby }: CopySource): string[] {
	return [
		...["--host=127.0.0.1", `--port=${port}`, "--username=postgres"],
		...(asStandby ? ["--write-recovery-conf"] : []),
	];
}

/** Unlike -c on the command line, a file leaves ALTER SYSTEM its effect. */
function settingsFile(settings: Readonly<Record<string, string>>): string {
	return Object.entries(settings)
		.map(([name, value]) => `${name} = '${value.replace(/['\\]/g, "$&$&")}'\n`)
		.join("");
}

/**
 * The kernel shuts the server down when its parent dies, even by SIGKILL. It
 * means the thread: a server started in a worker thread ends with the worker.
 * Where setpriv cannot do so, the next run removes what was left over.
 */
function endWithParent(): readonly string[] {
	const [command, ...args] = ["setpriv", "--pdeathsig", "QUIT"] as const;
	const works = output(command, [...args, "true"]) !== undefined;
	return works ? [command, ...args] : [];
}

class DockerRunner implements Runner {
	readonly dataFolder = "/var/lib/postgresql/18/docker";
	readonly #image: string;
	readonly #plan: ServerPlan;
	readonly #name = newName();
	#launchedAt = "";

	constructor({ image }: DockerImage, plan: ServerPlan) {
		this.#image = image;
		this.#plan = plan;
	}

	place(): ContainerPlace {
		return { kind: "container", container: this.#name };
	}

	async create(): Promise<void> {
		if (this.#plan.copyOf !== undefined)
			throw new Error("a copy needs an installation of programs, not docker");
		const settings = Object.entries(this.#plan.settings);
		await docker(
			[
				...["create", "--name", this.#name],
				...["--publish", `127.0.0.1:${this.#plan.port}:5432`],
				// Docker's 64 MB is too little for a parallel index build.
				...["--shm-size", "1g"],
				...["--env", "POSTGRES_PASSWORD", "--env", "POSTGRES_INITDB_ARGS"],
				...[this.#image, "postgres"],
				...settings.flatMap(([name, value]) => ["-c", `${name}=${value}`]),
			],
			{
				POSTGRES_PASSWORD: this.#plan.password,
				POSTGRES_INITDB_ARGS: INITDB_OPTIONS.join(" "),
			},
		);
	}

	signalBackend(pid: number, signal: NodeJS.Signals): void {
		const kill = ["kill", "-s", signal.replace("SIG", ""), String(pid)];
		output("docker", ["exec", this.#name, ...kill]);
	}

	async startPooler(): Promise<Pooler> {
		throw new Error("PgBouncer needs an installation of programs, not docker");
	}

	async launch(): Promise<void> {
		this.#launchedAt = new Date().toISOString();
		await docker(["start", this.#name]);
	}

	pid(): number | undefined {
		const format = ["--format", "{{.State.Pid}}"];
		return (
			Number(output("docker", ["inspect", ...format, this.#name])) || undefined
		);
	}

	signal(signal: NodeJS.Signals): void {
		output("docker", ["kill", "--signal", signal, this.#name]);
	}

	log(): string {
		const args = ["logs", "--since", this.#launchedAt, this.#name];
		const { stdout, stderr } = spawnSync("docker", args, { encoding: "utf8" });
		return stdout + stderr;
	}
}

async function docker(
	args: readonly string[],
	variables?: Readonly<Record<string, string>>,
): Promise<void> {
	const failure = await failureOf("docker", args, variables);
	if (failure) throw new Error(`docker ${args[0]} failed:\n${failure}`);
}

function newName(): string {
	return `remdb-${randomBytes(6).toString("hex")}`;
}

import { randomUUID } from "node:crypto";
import { readdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import type { OwnerState } from "./folder-owner.ts";

/**
 * A socket that its owner listens on for as long as it has the folder. The kernel
 * answers for it, also while the owner is busy or suspended, and to other
 * containers, threads and copies of the package; it stops when the owner dies.
 */
export interface LifeSign {
	end(): void;
}

/** `undefined` where the file system, or the system, has no such sockets. */
export async function showLife(
	lock: string,
	token: string,
): Promise<LifeSign | undefined> {
	// An asker is let in and sent away.
	const server = createServer((socket) => socket.destroy());
	const isListening = await withShortPath(socketOf(lock, token), (path) =>
		listens(server, path),
	);
	if (!isListening) return undefined;
	server.unref();
	return {
		end() {
			server.close();
			removeLifeSign(lock, token);
		},
	};
}

function listens(server: Server, path: string): Promise<boolean> {
	return new Promise((resolve) => {
		server.on("error", () => resolve(false));
		// Else a cluster's primary would listen in its place.
		server.listen({ path, exclusive: true }, () => resolve(true));
	});
}

/** Whether the owner with this token lives; `unknown`: its socket cannot be asked. */
export function lifeOf(lock: string, token: string): Promise<OwnerState> {
	return withShortPath(
		socketOf(lock, token),
		(path) =>
			new Promise((resolve) => {
				const socket = connect(path);
				socket.on("connect", () => {
					socket.destroy();
					resolve("alive");
				});
				socket.on("error", ({ code }: NodeJS.ErrnoException) => {
					// One that its owner left behind refuses. A file may be removed, a pipe may not.
					const gone = isWindows ? "ENOENT" : "ECONNREFUSED";
					if (code === gone) resolve("dead");
					else resolve(code === "EAGAIN" ? "alive" : "unknown");
				});
			}),
	);
}

export function removeLifeSign(lock: string, token: string): void {
	if (!isWindows) rmSync(socketOf(lock, token), { force: true });
}

/** Tokens of the sockets beside a lock file, which may have been removed. */
export function lifeSignsOf(lock: string): string[] {
	const prefix = `${basename(lock)}.`;
	return readdirSync(dirname(lock)).flatMap((name) =>
		name.startsWith(prefix) && name.endsWith(suffix)
			? [name.slice(prefix.length, -suffix.length)]
			: [],
	);
}

const isWindows = process.platform === "win32";
const suffix = ".sock";

function socketOf(lock: string, token: string): string {
	return isWindows
		? `\\\\.\\pipe\\remdb-${token}`
		: `${lock}.${token}${suffix}`;
}

/** Bytes of a socket's path on every system. */
const maxPathBytes = 100;

/** A path that is too long for a socket is reached through a link while it is needed. */
async function withShortPath<T>(
	path: string,
	use: (path: string) => Promise<T>,
): Promise<T> {
	if (isWindows || Buffer.byteLength(path) <= maxPathBytes) return use(path);
	const link = join(tmpdir(), `rem-${randomUUID().slice(0, 8)}`);
	try {
		symlinkSync(dirname(path), link);
	} catch {
		return use(path);
	}
	try {
		return await use(join(link, basename(path)));
	} finally {
		rmSync(link, { force: true });
	}
}

/** Distinguishes a folder from its copy. */
export function inodeOf(folder: string): string {
	return String(statSync(folder, { bigint: true }).ino);
}

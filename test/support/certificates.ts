import { execFileSync } from "node:child_process";
import {
	chownSync,
	copyFileSync,
	mkdtempSync,
	rmSync,
	statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";

/** An authority of the test's own, which signs certificates of servers; `remove` it at the end. */
export class Authority {
	/** Its certificate: what a client is given as the root. */
	readonly certificate: string;
	readonly #folder: string;
	#signed = 0;

	constructor(name: string) {
		this.#folder = mkdtempSync(join(tmpdir(), "rem-tls-"));
		this.certificate = join(this.#folder, "ca.crt");
		openssl(
			...["req", "-x509", "-subj", `/CN=${name}`, ...newKey],
			...["-keyout", join(this.#folder, "ca.key"), "-out", this.certificate],
		);
	}

	/** A certificate and its key for a server of these names, as `DNS:localhost` or `IP:127.0.0.1`. */
	sign(...names: string[]): { certificate: string; key: string } {
		const path = join(this.#folder, `server-${++this.#signed}`);
		const signed = { certificate: `${path}.crt`, key: `${path}.key` };
		openssl(
			...["req", "-x509", "-subj", "/CN=server", ...newKey],
			...["-CA", this.certificate, "-CAkey", join(this.#folder, "ca.key")],
			...["-addext", `subjectAltName=${names.join(",")}`],
			...["-addext", "basicConstraints=critical,CA:FALSE"],
			...["-keyout", signed.key, "-out", signed.certificate],
		);
		return signed;
	}

	remove(): void {
		rmSync(this.#folder, { recursive: true });
	}
}

const newKey = [
	...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
	...["-nodes", "-days", "2"],
];

function openssl(...args: string[]): void {
	execFileSync("openssl", args, { stdio: "pipe" });
}

/** From now on the server speaks TLS with this certificate. */
export async function encrypt(
	server: { readonly url: string; readonly dataFolder: string },
	{ certificate, key }: { certificate: string; key: string },
): Promise<void> {
	const { uid, gid } = statSync(server.dataFolder);
	for (const [from, name] of [
		[certificate, "server.crt"],
		[key, "server.key"],
	] as const) {
		const to = join(server.dataFolder, name);
		copyFileSync(from, to);
		chownSync(to, uid, gid);
	}
	await send(server.url, "ALTER SYSTEM SET ssl = on");
	await send(server.url, "SELECT pg_reload_conf()");
	const lastTry = Date.now() + 60_000;
	while (!(await answers(server.url))) {
		if (Date.now() > lastTry) throw new Error("the server speaks no TLS");
		await sleep(20);
	}
}

async function send(url: string, text: string): Promise<void> {
	const client = new pg.Client({ connectionString: url });
	await client.connect();
	try {
		await client.query(text);
	} finally {
		await client.end();
	}
}

/** Over TLS, whichever authority signed its certificate. */
async function answers(url: string): Promise<boolean> {
	const ssl = { rejectUnauthorized: false };
	const client = new pg.Client({ connectionString: url, ssl });
	client.on("error", () => {}); // the next try sees it
	try {
		await client.connect();
	} catch {
		return false;
	}
	await client.end();
	return true;
}

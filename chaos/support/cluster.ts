import { type Server, startServer } from "../../scripts/postgres-server.ts";
import { ask, until } from "./ask.ts";
import { openSwitchboard, type Switchboard } from "./switchboard.ts";

/** A primary and its synchronous standby behind one address that leads to whoever is the primary. */
export class Cluster {
	readonly #home: Server;
	readonly #servers: Set<Server>;
	readonly #switchboard: Switchboard;
	#primary: Server;
	#standby: Server;

	private constructor(
		primary: Server,
		standby: Server,
		switchboard: Switchboard,
	) {
		this.#home = primary;
		this.#primary = primary;
		this.#standby = standby;
		this.#servers = new Set([primary, standby]);
		this.#switchboard = switchboard;
	}

	/** @param prepare what the primary gets before it has a standby */
	static async start(
		prepare: (url: string) => Promise<void>,
	): Promise<Cluster> {
		const primary = await startServer({ settings: { shared_buffers: "64MB" } });
		try {
			await prepare(primary.url);
			// The copies have it too: a new primary acknowledges nothing before it has a standby.
			await ask(
				primary.url,
				"ALTER SYSTEM SET synchronous_standby_names = '*'",
			);
			await ask(primary.url, "SELECT pg_reload_conf()");
			const standby = await followerOf(primary);
			return new Cluster(primary, standby, await openSwitchboard(primary.url));
		} catch (error) {
			await primary.remove();
			throw error;
		}
	}

	/** Leads to the primary, whichever that is. */
	get url(): string {
		return this.#switchboard.url;
	}

	get primaryUrl(): string {
		return this.#primary.url;
	}

	get standbyUrl(): string {
		return this.#standby.url;
	}

	/** A PgBouncer that outlasts every failover, as a service of its own does. */
	startPooler() {
		return this.#home.startPooler({}, Number(new URL(this.url).port));
	}

	/** Returns when whatever is acknowledged from now on is on the standby too. */
	async synchronous(): Promise<void> {
		await until(
			this.#primary.url,
			"SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync') AS done",
		);
	}

	/**
	 * The primary dies or is stopped, the standby takes over, the address leads
	 * there, and a new standby is made of it. `onPromoted` is told when the new
	 * primary takes writes, which it acknowledges when its standby has them.
	 */
	async failOver(isCrash: boolean, onPromoted = () => {}): Promise<void> {
		const former = this.#primary;
		if (isCrash) former.kill("SIGKILL");
		else await former.stop("fast");
		await this.#standby.promote();
		onPromoted();
		this.#switchboard.switchTo(this.#standby.url);
		this.#primary = this.#standby;
		// The pooler's files are in the first one's folder.
		if (former !== this.#home) {
			this.#servers.delete(former);
			await former.remove();
		}
		this.#standby = await followerOf(this.#primary);
		this.#servers.add(this.#standby);
	}

	async close(): Promise<void> {
		await this.#switchboard.close();
		for (const server of this.#servers) await server.remove();
	}
}

async function followerOf(primary: Server): Promise<Server> {
	const standby = await primary.copy({ asStandby: true });
	await until(
		primary.url,
		"SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming') AS done",
	);
	return standby;
}

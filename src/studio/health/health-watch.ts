import { keysOf } from "../../util/present.ts";
import type {
	HealthEvent,
	HealthPartName,
	HealthSnapshot,
} from "../api/health.ts";
import { HttpProblem, problemOf } from "../http/problem.ts";
import type { StudioService } from "../place.ts";

import { QueueHistory } from "./queue-history.ts";
import { partReaders } from "./read-parts.ts";

type Part = NonNullable<HealthSnapshot[HealthPartName]>;

const maxClients = 20;
/** How often each part is read; one that takes long is read less often. */
const everyMs: Readonly<Record<HealthPartName, number>> = {
	checks: 30_000,
	cache: 2000,
	embeddings: 2000,
	indexes: 2000,
	pool: 2000,
	statements: 2000,
};
const names = keysOf(everyMs);
/** At most a tenth of the time is spent on reading a part. */
const restFactor = 9;
/** A proxy closes a connection on which nothing is sent. */
const keepAliveMs = 15_000;

/** Reads the health for as long as a client looks at it: once for all of them. */
export class HealthWatch {
	readonly #read: ReturnType<typeof partReaders>;
	readonly #parts = new Map<HealthPartName, Part>();
	readonly #clients = new Set<HealthClient>();
	readonly #timers = new Map<HealthPartName, NodeJS.Timeout>();
	#keepAlive: NodeJS.Timeout | undefined;

	constructor(service: StudioService) {
		this.#read = partReaders(service, new QueueHistory());
	}

	/** Every part as it is now; while clients look, as it was read for them. */
	async snapshot(): Promise<HealthSnapshot> {
		for (const name of names)
			if (!this.#timers.has(name) || !this.#parts.has(name))
				await this.#readPart(name);
		return Object.fromEntries(
			names.map((name) => [name, this.#parts.get(name) ?? null]),
		) as unknown as HealthSnapshot;
	}

	/** A stream of server-sent events, until the client disconnects or the studio ends. */
	open(signal: AbortSignal): ReadableStream<Uint8Array> {
		if (this.#clients.size >= maxClients)
			throw new HttpProblem(503, {
				code: "TOO_MANY",
				message: `${maxClients} pages watch the health already`,
				hint: "close one of them",
			});
		const client = new HealthClient(() => this.#leave(client));
		this.#clients.add(client);
		signal.addEventListener("abort", () => client.close(), { once: true });
		for (const [name, part] of this.#parts) client.send(name, part);
		if (this.#clients.size === 1) this.#start();
		if (signal.aborted) client.close();
		return client.stream;
	}

	close(): void {
		for (const client of [...this.#clients]) client.close();
		this.#stop();
	}

	#leave(client: HealthClient): void {
		this.#clients.delete(client);
		if (this.#clients.size === 0) this.#stop();
	}

	#start(): void {
		for (const name of names) this.#schedule(name, 0);
		this.#keepAlive = setInterval(() => {
			for (const client of this.#clients) client.comment();
		}, keepAliveMs);
		this.#keepAlive.unref();
	}

	#stop(): void {
		for (const timer of this.#timers.values()) clearTimeout(timer);
		this.#timers.clear();
		clearInterval(this.#keepAlive);
	}

	#schedule(name: HealthPartName, afterMs: number): void {
		const timer = setTimeout(async () => {
			const started = performance.now();
			const part = await this.#readPart(name);
			for (const client of this.#clients) client.send(name, part);
			// Stopped, or stopped and begun again, while it was read.
			if (this.#timers.get(name) !== timer) return;
			const tookMs = performance.now() - started;
			this.#schedule(name, Math.max(everyMs[name], restFactor * tookMs));
		}, afterMs);
		timer.unref();
		this.#timers.set(name, timer);
	}

	async #readPart(name: HealthPartName): Promise<Part> {
		const at = new Date().toISOString();
		const part = (await this.#read[name]()
			.then((data) => ({ at, ok: true, data }))
			.catch((error: unknown) => ({
				at,
				ok: false,
				error: problemOf(error).error,
			}))) as Part;
		this.#parts.set(name, part);
		return part;
	}
}

/** One page that looks. What it does not read in time is replaced by what comes later. */
class HealthClient {
	readonly stream: ReadableStream<Uint8Array>;
	readonly #onClose: () => void;
	readonly #late = new Map<HealthPartName, Part>();
	#controller: ReadableStreamDefaultController<Uint8Array> | undefined;

	constructor(onClose: () => void) {
		this.#onClose = onClose;
		this.stream = new ReadableStream(
			{
				start: (controller) => {
					this.#controller = controller;
				},
				pull: () => this.#sendLate(),
				cancel: () => this.#left(),
			},
			{ highWaterMark: names.length },
		);
	}

	send(name: HealthPartName, value: Part): void {
		this.#late.set(name, value);
		this.#sendLate();
	}

	comment(): void {
		if ((this.#controller?.desiredSize ?? 0) > 0) this.#write(":\n\n");
	}

	#sendLate(): void {
		for (const [part, value] of this.#late) {
			if ((this.#controller?.desiredSize ?? 0) <= 0) return;
			this.#late.delete(part);
			const event = { part, value } as HealthEvent;
			this.#write(`event: ${part}\ndata: ${JSON.stringify(event)}\n\n`);
		}
	}

	#write(text: string): void {
		this.#controller?.enqueue(new TextEncoder().encode(text));
	}

	close(): void {
		if (this.#controller === undefined) return;
		const controller = this.#controller;
		this.#left();
		controller.close();
	}

	#left(): void {
		this.#controller = undefined;
		this.#onClose();
	}
}

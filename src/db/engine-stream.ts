import { Duplex } from "node:stream";
import { MessageChannel } from "node:worker_threads";
import type { EmbeddedEngine } from "./embedded-engine.ts";

const terminate = 0x58;

/**
 * A connection to the embedded PostgreSQL as `pg` expects one of a server: a
 * socket. So `pg` itself reads the answers, byte order marks and binary values
 * included, as it reads a server's.
 */
export class EngineStream extends Duplex {
	readonly #engine: EmbeddedEngine;
	readonly #turns = new Turns();

	constructor(engine: EmbeddedEngine) {
		super({ allowHalfOpen: false });
		this.#engine = engine;
	}

	connect(): this {
		this.#engine.reset().then(
			() => this.emit("connect"),
			(error: Error) => this.destroy(error),
		);
		return this;
	}

	setNoDelay(): this {
		return this;
	}

	setKeepAlive(): this {
		return this;
	}

	/** It never keeps the process alive: see `keepAlive`. */
	ref(): this {
		return this;
	}

	unref(): this {
		return this;
	}

	override _read(): void {}

	override _write(
		chunk: Buffer,
		_encoding: string,
		done: (error?: Error | null) => void,
	): void {
		if (chunk[0] === terminate) {
			done();
			return;
		}
		// In a turn of its own: a row of statements lets timers and sockets in between.
		this.#turns.next(() => {
			this.#engine.send(chunk).then((answer) => {
				for (const bytes of answer) this.push(bytes);
				done();
			}, done);
		});
	}

	override _writev(
		chunks: { readonly chunk: Buffer }[],
		done: (error?: Error | null) => void,
	): void {
		this._write(
			Buffer.concat(chunks.map(({ chunk }) => chunk)),
			"buffer",
			done,
		);
	}

	override _final(done: () => void): void {
		this.push(null);
		done();
	}

	override _destroy(error: Error | null, done: (error: Error | null) => void) {
		this.#turns.close();
		done(error);
	}
}

/**
 * Runs work in the next turn of the event loop, if there is one: unlike
 * `setImmediate` it does not keep the process alive, and unlike an immediate
 * without a reference it does not wait for something else to happen.
 */
class Turns {
	readonly #channel = new MessageChannel();
	#work: (() => void) | undefined;

	constructor() {
		this.#channel.port2.on("message", () => {
			const work = this.#work;
			this.#work = undefined;
			work?.();
		});
		this.#channel.port2.unref();
	}

	/** A stream writes one chunk at a time. */
	next(work: () => void): void {
		this.#work = work;
		this.#channel.port1.postMessage(null);
	}

	close(): void {
		this.#channel.port1.close();
	}
}

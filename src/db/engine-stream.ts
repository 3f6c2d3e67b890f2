import { Duplex } from "node:stream";
import type { EmbeddedEngine } from "./embedded-engine.ts";

const terminate = 0x58;

/**
 * A connection to the embedded PostgreSQL as `pg` expects one of a server: a
 * socket. So `pg` itself reads the answers, byte order marks and binary values
 * included, as it reads a server's.
 */
export class EngineStream extends Duplex {
	readonly #engine: EmbeddedEngine;

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

	/** Only statements under way keep the process alive, and those do it themselves. */
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
		setImmediate(() => {
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
}

import type { Extension } from "@electric-sql/pglite";

/** What Emscripten links PostgreSQL's program with. */
interface Imports {
	readonly env: { _setitimer_js?: (which: number, ms: number) => number };
}

interface Program {
	readonly exports: {
		_emscripten_timeout?: (which: number, now: number) => void;
	};
}

type Instantiate = (
	imports: Imports,
	done: (instance: Program, module: unknown) => void,
) => object;

/**
 * PostgreSQL sets an alarm after each statement, to report statistics when it
 * is idle. Emscripten makes it a timer that keeps the process alive, and starts
 * it again when it fires. These do not keep it alive, and end with the engine.
 */
export class EngineTimers {
	readonly #timers = new Map<number, NodeJS.Timeout>();
	#program: Program | undefined;

	/** Links the timers in: PGlite lets extensions change what the program is linked with. */
	get extension(): Extension {
		return {
			name: "timers",
			setup: async (_, options) => {
				const instantiate: Instantiate = options.instantiateWasm;
				const instantiateWasm: Instantiate = (imports, done) => {
					if (imports.env._setitimer_js !== undefined)
						imports.env._setitimer_js = (which, ms) => this.#set(which, ms);
					return instantiate(imports, (instance, module) => {
						this.#program = instance;
						done(instance, module);
					});
				};
				return { emscriptenOpts: { ...options, instantiateWasm } };
			},
		};
	}

	clear(): void {
		this.#program = undefined;
		for (const timer of this.#timers.values()) clearTimeout(timer);
	}

	#set(which: number, ms: number): number {
		clearTimeout(this.#timers.get(which));
		this.#timers.delete(which);
		if (ms === 0) return 0;
		const timer = setTimeout(() => this.#fire(which), ms);
		timer.unref();
		this.#timers.set(which, timer);
		return 0;
	}

	#fire(which: number): void {
		try {
			this.#program?.exports._emscripten_timeout?.(which, performance.now());
		} catch {
			// PostgreSQL left the handler by a jump: the next statement notices.
		}
	}
}

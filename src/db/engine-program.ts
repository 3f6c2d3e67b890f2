import { readFile } from "node:fs/promises";

/** PostgreSQL's program, compiled from PGlite's WebAssembly. */
export type EngineProgram = object;

/** Of the global that Node.js has, and its types do not declare. */
declare const WebAssembly: {
	compile(bytes: Uint8Array): Promise<EngineProgram>;
};

let compiling: Promise<EngineProgram | undefined> | undefined;

/**
 * Compiles the program, once in each thread. V8 does it in threads of its own: begun
 * early, it runs beside the imports, the lock of the folder and its files, for which
 * PGlite itself would wait. `undefined`: PGlite finds its program itself, as in a
 * bundle that contains it.
 */
export function compileProgram(): Promise<EngineProgram | undefined> {
	compiling ??= compile().catch(() => {
		compiling = undefined;
		return undefined;
	});
	return compiling;
}

const sharedBuffers = { usual: "64MB", short: "16MB" };

let buffers = sharedBuffers.usual;

/**
 * For a process that ends after a few calls: buffers are empty when an engine starts, and
 * what is read once needs none. Of the engines that start from now on.
 */
export function expectFewCalls(): void {
	buffers = sharedBuffers.short;
}

/**
 * Parameters of PostgreSQL. PGlite fills its buffers with zeros when it starts, so that all of
 * them are resident at once. PostgreSQL's 128MB took 67 MB and a fifth of the start's
 * processor time more than 64MB; with 32MB, reads at random in 47 MB took three times as
 * long. With 16MB, a lookup takes 37 ms of 700 less, and 54 MB less.
 */
export function engineParameters(): string[] {
	return ["-c", `shared_buffers=${buffers}`];
}

async function compile(): Promise<EngineProgram> {
	const entry = import.meta.resolve("@electric-sql/pglite");
	return WebAssembly.compile(await readFile(new URL("./pglite.wasm", entry)));
}

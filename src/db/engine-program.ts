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

async function compile(): Promise<EngineProgram> {
	const entry = import.meta.resolve("@electric-sql/pglite");
	return WebAssembly.compile(await readFile(new URL("./pglite.wasm", entry)));
}

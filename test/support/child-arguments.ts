/**
 * Arguments of Node.js for a process that lives for seconds: the embedded engine's
 * WebAssembly is not optimised while it runs, which takes 1.7 of the 4 s of processor
 * time that one command on a new database takes.
 */
export const nodeArguments: readonly string[] = [
	"--liftoff-only",
	"--wasm-lazy-compilation",
];

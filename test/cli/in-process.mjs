// Runs the built program in this process: a start of Node.js and of the embedded
// engine's code costs more than most commands. A module that vitest leaves alone.
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { pathToFileURL } from "node:url";

const { cache } = createRequire(import.meta.url);
let runs = 0;

/**
 * @param {string} main path of the program
 * @param {readonly string[]} args
 * @param {{ cwd: string, env: Readonly<Record<string, string>> }} options
 * @returns {Promise<{ code: number, stdout: string, stderr: string }>}
 */
export async function runInProcess(main, args, { cwd, env }) {
	const { argv, exitCode } = process;
	const here = process.cwd();
	const environment = { ...process.env };
	const listeners = [
		[process, "SIGINT"],
		[process, "SIGTERM"],
		[process.stdout, "error"],
		[process.stderr, "error"],
	].map(([emitter, event]) => ({
		emitter,
		event,
		before: emitter.listeners(event),
	}));
	const stdout = captured(process.stdout);
	const stderr = captured(process.stderr);
	try {
		process.argv = [process.execPath, main, ...args];
		process.chdir(cwd);
		replaceEnvironment(env);
		process.exitCode = undefined;
		// The program is what the module does when it is evaluated.
		await import(`${pathToFileURL(main).href}?run=${++runs}`);
		return {
			code: Number(process.exitCode ?? 0),
			stdout: stdout.text(),
			stderr: stderr.text(),
		};
	} finally {
		stdout.restore();
		stderr.restore();
		for (const { emitter, event, before } of listeners)
			for (const listener of emitter.listeners(event))
				if (!before.includes(listener)) emitter.off(event, listener);
		process.exitCode = exitCode;
		replaceEnvironment(environment);
		process.chdir(here);
		process.argv = argv;
		// A test may change a file of models between two commands.
		for (const path of Object.keys(cache))
			if (path.startsWith(tmpdir())) delete cache[path];
	}
}

function captured(stream) {
	const { write } = stream;
	const chunks = [];
	stream.write = (chunk, ...rest) => {
		chunks.push(Buffer.from(chunk));
		const done = rest.at(-1);
		if (typeof done === "function") process.nextTick(done);
		return true;
	};
	return {
		text: () => Buffer.concat(chunks).toString("utf8"),
		restore: () => {
			stream.write = write;
		},
	};
}

function replaceEnvironment(env) {
	for (const name of Object.keys(process.env)) delete process.env[name];
	Object.assign(process.env, env);
}

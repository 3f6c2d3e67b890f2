import { spawn } from "node:child_process";

/** `taken`: this file description has the lock now; `busy`: another one has it. */
export type FlockOutcome = "taken" | "busy" | "unavailable";

// First where distributions install it: PATH may be empty, or name another program.
const programs = ["/usr/bin/flock", "/bin/flock", "flock"];

/**
 * Takes an exclusive flock(2) on an open file, without waiting. Node has no
 * such call. The program `flock` (util-linux, BusyBox) inherits the file and
 * locks it; the lock belongs to the open file, so it outlives the program and
 * the kernel releases it when this process closes the file or dies.
 */
export async function flock(file: number): Promise<FlockOutcome> {
	if (process.platform !== "linux") return "unavailable";
	for (const program of programs) {
		const outcome = await runFlock(program, file);
		if (outcome !== "unavailable") return outcome;
	}
	return "unavailable";
}

function runFlock(program: string, file: number): Promise<FlockOutcome> {
	return new Promise((resolve) => {
		const unavailable = () => resolve("unavailable");
		try {
			const child = spawn(program, ["-n", "-x", "3"], {
				stdio: ["ignore", "ignore", "pipe", file],
			});
			let complaint = "";
			child.stderr?.on("data", (text) => {
				complaint += text;
			});
			child.on("error", unavailable);
			child.on("close", (code) => {
				if (code === 0) resolve("taken");
				// A lock that is taken is no error to the program: it prints nothing.
				else if (code === 1 && complaint === "") resolve("busy");
				else unavailable();
			});
		} catch {
			unavailable(); // no right to start programs
		}
	});
}

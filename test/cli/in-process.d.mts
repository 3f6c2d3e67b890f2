/** Evaluates the program's module in this process, with its output captured. */
export function runInProcess(
	main: string,
	args: readonly string[],
	options: {
		readonly cwd: string;
		readonly env: Readonly<Record<string, string>>;
	},
): Promise<{ code: number; stdout: string; stderr: string }>;

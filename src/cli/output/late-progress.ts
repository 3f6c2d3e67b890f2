import type { Terminal } from "./terminal.ts";

/** A bar for work whose first step reports the total. */
export interface LateProgress {
	readonly onProgress: (step: { done: number; total: number }) => void;
	readonly stop: () => void;
}

export function lateProgress(terminal: Terminal, label: string): LateProgress {
	let bar: ReturnType<Terminal["progress"]> | undefined;
	return {
		onProgress: ({ done, total }) => {
			bar ??= terminal.progress(label, total);
			bar.update(done);
		},
		stop: () => bar?.stop(),
	};
}

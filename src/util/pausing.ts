/** Until the time is over or the signal is aborted; does not keep the process alive. */
export function pausing(ms: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		if (signal.aborted) return resolve();
		const end = () => {
			clearTimeout(timer);
			signal.removeEventListener("abort", end);
			resolve();
		};
		const timer = setTimeout(end, ms);
		timer.unref();
		signal.addEventListener("abort", end);
	});
}

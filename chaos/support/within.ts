/** The work's result, or an error that says what did not end in time. */
export async function within<T>(
	ms: number,
	what: () => string,
	work: Promise<T>,
): Promise<T> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(
			() => reject(new Error(`${what()} (after ${ms / 1000} s)`)),
			ms,
		);
	});
	try {
		return await Promise.race([work, late]);
	} finally {
		clearTimeout(timer);
	}
}

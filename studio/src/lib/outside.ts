import { useLayoutEffect, useState } from "preact/hooks";

/** A value that lives outside the components: they are drawn again when it changes. */
export function useOutside<T>(
	subscribe: (listener: () => void) => () => void,
	read: () => T,
): T {
	const [, redraw] = useState(0);
	useLayoutEffect(() => subscribe(() => redraw((times) => times + 1)), []);
	return read();
}

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Icon } from "./icons.tsx";

/** The browser's own dialog: it has the focus, and Escape closes it. */
export function Dialog({
	title,
	close,
	children,
}: {
	readonly title: string;
	readonly close: () => void;
	readonly children: ComponentChildren;
}) {
	const ref = useRef<HTMLDialogElement>(null);
	useLayoutEffect(() => {
		ref.current?.showModal();
	}, []);
	return (
		<dialog ref={ref} onClose={close} aria-label={title}>
			<header>
				<h2>{title}</h2>
				<button
					type="button"
					class="icon"
					aria-label="Close"
					onClick={() => ref.current?.close()}
				>
					<Icon name="close" />
				</button>
			</header>
			<div class="body">{children}</div>
		</dialog>
	);
}

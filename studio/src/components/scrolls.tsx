import type { ComponentChildren } from "preact";

/** A part that scrolls by itself: the keyboard can reach it, so that the arrow keys scroll it. */
export function Scrolls({
	label,
	class: className,
	as: Element = "div",
	children,
}: {
	readonly label: string;
	readonly class?: string;
	readonly as?: "div" | "pre";
	readonly children: ComponentChildren;
}) {
	return (
		<Element class={className} role="region" aria-label={label} tabIndex={0}>
			{children}
		</Element>
	);
}

import { useState } from "preact/hooks";
import { Icon } from "./icons.tsx";

export function CopyButton({
	label,
	text,
}: {
	readonly label: string;
	readonly text: string;
}) {
	const [state, setState] = useState<"idle" | "copied" | "refused">("idle");
	const copy = async () => {
		try {
			await navigator.clipboard.writeText(text);
			setState("copied");
		} catch {
			setState(copySelected(text) ? "copied" : "refused");
		}
		window.setTimeout(() => setState("idle"), 1_600);
	};
	return (
		<button type="button" class="button small" onClick={copy}>
			<Icon name={state === "copied" ? "done" : "copy"} />
			<span aria-live="polite">
				{state === "copied"
					? "Copied"
					: state === "refused"
						? "The browser refused"
						: label}
			</span>
		</button>
	);
}

/** The older way, where the page is not served from a secure origin. */
function copySelected(text: string): boolean {
	const area = document.createElement("textarea");
	area.value = text;
	document.body.append(area);
	area.select();
	const isCopied = document.execCommand("copy");
	area.remove();
	return isCopied;
}

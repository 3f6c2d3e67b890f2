import { useMemo } from "preact/hooks";
import { CopyButton } from "./copy.tsx";
import { Scrolls } from "./scrolls.tsx";

export function Code({
	title,
	text,
	copy,
	wraps = false,
}: {
	readonly title?: string;
	readonly text: string;
	/** What the copy button is called. */
	readonly copy: string;
	readonly wraps?: boolean;
}) {
	return (
		<figure class="stack tight">
			<div class="row apart">
				<figcaption class="muted">{title}</figcaption>
				<CopyButton label={copy} text={text} />
			</div>
			<div class={wraps ? "code wrap" : "code"}>
				<Scrolls as="pre" label={title ?? copy}>
					{text}
				</Scrolls>
			</div>
		</figure>
	);
}

/** JSON text as it is, with its parts coloured. */
export function JsonView({
	json,
	title = "JSON",
}: {
	readonly json: string;
	readonly title?: string;
}) {
	const parts = useMemo(() => partsOf(json), [json]);
	return (
		<figure class="stack tight">
			<div class="row apart">
				<figcaption class="muted">{title}</figcaption>
				<CopyButton label="Copy JSON" text={json} />
			</div>
			<div class="code wrap">
				<Scrolls as="pre" label={title}>
					{parts.map(({ text, kind }) =>
						kind === undefined ? text : <span class={kind}>{text}</span>,
					)}
				</Scrolls>
			</div>
		</figure>
	);
}

interface Part {
	readonly text: string;
	readonly kind?: string;
}

/** Longer ones are shown without colours. */
const maxColouredCharacters = 100_000;

const token =
	/("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b/g;

function partsOf(json: string): Part[] {
	if (json.length > maxColouredCharacters) return [{ text: json }];
	const parts: Part[] = [];
	let at = 0;
	for (const match of json.matchAll(token)) {
		if (match.index > at) parts.push({ text: json.slice(at, match.index) });
		const [whole, text, colon, number] = match;
		if (text !== undefined) {
			const kind = colon === undefined ? "json-text" : "json-key";
			parts.push({ text, kind });
			if (colon !== undefined) parts.push({ text: colon });
		} else
			parts.push({
				text: whole,
				kind: number === undefined ? "json-word" : "json-number",
			});
		at = match.index + whole.length;
	}
	parts.push({ text: json.slice(at) });
	return parts;
}

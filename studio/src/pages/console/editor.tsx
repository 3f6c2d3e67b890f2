import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { CompleteResponse } from "../../../../src/studio/api/console.ts";
import { api } from "../../lib/api.ts";
import { useScope } from "../../lib/studio.ts";

type Suggestions = CompleteResponse;

const typingPauseMs = 60;

/** A text field for queries, with completion, and a mark where an error is. */
export function Editor({
	text,
	change,
	run,
	errorAt,
}: {
	readonly text: string;
	readonly change: (text: string) => void;
	readonly run: () => void;
	/** From 1. */
	readonly errorAt: number | undefined;
}) {
	const area = useRef<HTMLTextAreaElement>(null);
	const completion = useCompletion(area, text, change);
	const { offered, at, close } = completion;
	const onKeyDown = (event: KeyboardEvent) => {
		if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
			event.preventDefault();
			close();
			run();
		} else if (event.key === " " && event.ctrlKey) {
			event.preventDefault();
			completion.ask();
		} else if (offered !== undefined) completion.onKeyDown(event);
	};
	return (
		<div class="editor">
			<pre class="editor-marks" aria-hidden="true">
				{errorAt === undefined ? (
					text
				) : (
					<>
						{text.slice(0, errorAt - 1)}
						<span class="error-mark">{wordAt(text, errorAt)}</span>
						{text.slice(errorAt - 1 + wordAt(text, errorAt).length)}
					</>
				)}
				{"\n"}
			</pre>
			<textarea
				ref={area}
				data-search
				aria-label="Query"
				aria-invalid={errorAt === undefined ? undefined : "true"}
				aria-autocomplete="list"
				aria-controls="suggestions"
				aria-activedescendant={
					offered === undefined ? undefined : `suggestion-${at}`
				}
				placeholder={'RECALL "who runs the payments migration?" LIMIT 5'}
				spellcheck={false}
				autocapitalize="off"
				rows={4}
				value={text}
				onInput={({ currentTarget }) => {
					change(currentTarget.value);
					completion.askSoon();
				}}
				onKeyDown={onKeyDown}
				onBlur={close}
			/>
			<div
				id="suggestions"
				role="listbox"
				aria-label="Suggestions"
				class="suggestions"
				hidden={offered === undefined}
			>
				{offered?.suggestions.map((suggestion, index) => (
					<div
						key={`${suggestion.kind} ${suggestion.text}`}
						id={`suggestion-${index}`}
						role="option"
						tabIndex={-1}
						aria-selected={index === at}
						onPointerDown={(event) => {
							event.preventDefault();
							completion.accept(index);
						}}
					>
						<code>{suggestion.text}</code>
						<span class="muted">{suggestion.detail ?? suggestion.kind}</span>
					</div>
				))}
			</div>
		</div>
	);
}

/** What stands at a character, from 1: a word, another character, or a space behind the end. */
function wordAt(text: string, position: number): string {
	return /^(?:\w+|.)/s.exec(text.slice(position - 1))?.[0] ?? " ";
}

function useCompletion(
	area: { readonly current: HTMLTextAreaElement | null },
	text: string,
	change: (text: string) => void,
) {
	const scope = useScope();
	const [offered, setOffered] = useState<Suggestions>();
	const [at, setAt] = useState(0);
	const timer = useRef<number | undefined>(undefined);
	const asked = useRef<AbortController | undefined>(undefined);
	const caret = useRef<number | undefined>(undefined);
	const close = () => {
		window.clearTimeout(timer.current);
		asked.current?.abort();
		setOffered(undefined);
	};
	useEffect(() => close, []);
	useLayoutEffect(() => {
		// The caret stands behind what was accepted once the text is in place.
		if (caret.current === undefined) return;
		area.current?.setSelectionRange(caret.current, caret.current);
		caret.current = undefined;
	}, [text]);
	const ask = async () => {
		const field = area.current;
		if (field === null) return;
		asked.current?.abort();
		const controller = new AbortController();
		asked.current = controller;
		const request = {
			...scope,
			query: field.value,
			cursor: field.selectionStart,
		};
		try {
			const answer = await api.complete(request, controller.signal);
			if (controller.signal.aborted) return;
			setAt(0);
			setOffered(answer.suggestions.length === 0 ? undefined : answer);
		} catch {
			// Without suggestions one can type on; running the query shows what is wrong.
			if (!controller.signal.aborted) setOffered(undefined);
		}
	};
	const accept = (index: number) => {
		const suggestion = offered?.suggestions[index];
		if (offered === undefined || suggestion === undefined) return;
		caret.current = offered.from + suggestion.text.length;
		change(
			text.slice(0, offered.from) + suggestion.text + text.slice(offered.to),
		);
		close();
		area.current?.focus();
	};
	return {
		offered,
		at,
		close,
		ask,
		accept,
		askSoon: () => {
			window.clearTimeout(timer.current);
			timer.current = window.setTimeout(ask, typingPauseMs);
		},
		onKeyDown: (event: KeyboardEvent) => {
			const last = (offered?.suggestions.length ?? 1) - 1;
			if (event.key === "ArrowDown") setAt(at === last ? 0 : at + 1);
			else if (event.key === "ArrowUp") setAt(at === 0 ? last : at - 1);
			else if (event.key === "Enter" || event.key === "Tab") accept(at);
			else if (event.key === "Escape") close();
			else return;
			event.preventDefault();
			event.stopPropagation();
		},
	};
}

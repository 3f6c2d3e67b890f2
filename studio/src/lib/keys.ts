import { useLayoutEffect } from "preact/hooks";
import { navigate, pages } from "./router.ts";

// The keys that a person presses next find what the last one opened: handlers are
// put in place with the page (useLayoutEffect), not after the browser has painted it.

// j and k move the focus among the elements marked `data-row`; Enter is what
// the browser does with the link or button that has it.

const setting = "rem-studio-keys";

export function keysAreOn(): boolean {
	try {
		return window.localStorage.getItem(setting) !== "off";
	} catch {
		return true;
	}
}

export function switchKeys(on: boolean): void {
	try {
		window.localStorage.setItem(setting, on ? "on" : "off");
	} catch {
		// Without storage they stay on.
	}
}

/** What Escape closes: the one that was opened last. */
const closers: (() => void)[] = [];

export function useEscape(close: (() => void) | undefined): void {
	useLayoutEffect(() => {
		if (close === undefined) return;
		closers.push(close);
		return () => {
			const at = closers.lastIndexOf(close);
			if (at >= 0) closers.splice(at, 1);
		};
	}, [close]);
}

export function useShortcuts(openHelp: () => void): void {
	useLayoutEffect(() => {
		const press = (event: KeyboardEvent) => onKey(event, openHelp);
		window.addEventListener("keydown", press);
		return () => window.removeEventListener("keydown", press);
	}, [openHelp]);
}

function onKey(event: KeyboardEvent, openHelp: () => void): void {
	if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey)
		return;
	const focused = document.activeElement;
	if (event.key === "Escape") {
		leave(focused);
		return;
	}
	if (isTyping(focused) || document.querySelector("dialog[open]") !== null)
		return;
	if (!keysAreOn()) return;
	const action = actionOf(event.key, openHelp);
	if (action === undefined) return;
	event.preventDefault();
	action();
}

function leave(focused: Element | null): void {
	if (document.querySelector("dialog[open]") !== null) return;
	if (focused instanceof HTMLElement && isTyping(focused)) focused.blur();
	else closers.at(-1)?.();
}

function actionOf(key: string, openHelp: () => void) {
	if (key === "/") return focusSearch;
	if (key === "j") return () => moveRow(1);
	if (key === "k") return () => moveRow(-1);
	if (key === "?") return openHelp;
	const page = pages[Number(key) - 1];
	return page === undefined ? undefined : () => navigate(page);
}

function focusSearch(): void {
	const field = document.querySelector<HTMLInputElement>("[data-search]");
	field?.focus();
	field?.select();
}

function moveRow(step: 1 | -1): void {
	const rows = [...document.querySelectorAll<HTMLElement>("main [data-row]")];
	if (rows.length === 0) return;
	const at = rows.indexOf(document.activeElement as HTMLElement);
	const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step;
	const row = rows[Math.min(Math.max(next, 0), rows.length - 1)];
	row?.focus();
	row?.scrollIntoView({ block: "nearest" });
}

function isTyping(element: Element | null): boolean {
	if (element instanceof HTMLInputElement)
		return !["checkbox", "radio", "button", "range"].includes(element.type);
	return (
		element instanceof HTMLTextAreaElement ||
		element instanceof HTMLSelectElement
	);
}

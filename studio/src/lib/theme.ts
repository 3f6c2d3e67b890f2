import { useState } from "preact/hooks";

export type Theme = "system" | "light" | "dark";

const key = "rem-studio-theme";
const order: readonly Theme[] = ["system", "light", "dark"];

/** The chosen theme, and the step to the next one. */
export function useTheme(): [Theme, () => void] {
	const [theme, setTheme] = useState(storedTheme);
	const next = () => {
		const chosen = order[(order.indexOf(theme) + 1) % order.length] ?? "system";
		applyTheme(chosen);
		setTheme(chosen);
	};
	return [theme, next];
}

/** Before the first paint: the style sheet reads the attribute. */
export function applyTheme(theme: Theme = storedTheme()): void {
	const root = document.documentElement;
	if (theme === "system") delete root.dataset.theme;
	else root.dataset.theme = theme;
	try {
		window.localStorage.setItem(key, theme);
	} catch {
		// Without storage the choice lasts as long as the page.
	}
}

function storedTheme(): Theme {
	try {
		const stored = window.localStorage.getItem(key);
		return order.find((theme) => theme === stored) ?? "system";
	} catch {
		return "system";
	}
}

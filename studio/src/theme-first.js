// Sets the chosen theme, as lib/theme.ts does, before the first paint, which does
// not wait for the page's module.
try {
	const theme = window.localStorage.getItem("rem-studio-theme");
	if (theme === "light" || theme === "dark")
		document.documentElement.dataset.theme = theme;
} catch {
	// Without storage the page has the system's theme.
}

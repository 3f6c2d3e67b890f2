// Before the first paint, which does not wait for the page's module: the theme
// that was chosen, as in lib/theme.ts.
try {
	const theme = window.localStorage.getItem("rem-studio-theme");
	if (theme === "light" || theme === "dark")
		document.documentElement.dataset.theme = theme;
} catch {
	// Without storage the system's theme it is.
}

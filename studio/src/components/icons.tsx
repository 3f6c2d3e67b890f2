const paths = {
	search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm5 12 4 4",
	entities: "M4 5h16v4H4zM4 11h16v8H4zM9 11v8",
	graph:
		"M6 8.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Zm12 4a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM8 20.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM8.3 7l7.4 2.2M10 16.6l6-4.8M6.4 8.6l1.2 6.8",
	health: "M3 12h4l2.5-6 4 12 2.5-6h5",
	console: "M4 5h16v14H4zM7.5 9.5 10.5 12l-3 2.5M12.5 15h4",
	system: "M4 5h16v11H4zM9 20h6M12 16v4",
	light:
		"M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Zm0-5v2m0 14v2m9-9h-2M5 12H3m15.4-6.4L17 7M7 17l-1.4 1.4m12.8 0L17 17M7 7 5.6 5.6",
	dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z",
	help: "M9.2 9a2.9 2.9 0 1 1 4.2 2.6c-.9.5-1.4 1-1.4 2M12 17h.01M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z",
	copy: "M9 9h11v11H9zM5 15H4V4h11v1",
	done: "m5 12.5 4.5 4.5L19 7.5",
	close: "M6 6l12 12M18 6 6 18",
	filter: "M4 6h16M7 12h10M10 18h4",
	plus: "M12 5v14M5 12h14",
	minus: "M5 12h14",
	fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
} as const;

export type IconName = keyof typeof paths;

/** Beside a text or a label: readers of the screen skip it. */
export function Icon({ name }: { readonly name: IconName }) {
	return (
		<svg
			viewBox="0 0 24 24"
			width="18"
			height="18"
			fill="none"
			stroke="currentColor"
			stroke-width="1.8"
			stroke-linecap="round"
			stroke-linejoin="round"
			aria-hidden="true"
		>
			<path d={paths[name]} />
		</svg>
	);
}

export function Logo() {
	return (
		<svg viewBox="0 0 32 32" aria-hidden="true">
			<rect width="32" height="32" rx="8" fill="#4338ca" />
			<path d="M10 21 18 9l4 13" fill="none" stroke="#fff" stroke-width="1.6" />
			<circle cx="10" cy="21" r="4" fill="#fff" />
			<circle cx="22" cy="22" r="2.5" fill="#c7d2fe" />
			<circle cx="18" cy="9" r="3.2" fill="#a5b4fc" />
		</svg>
	);
}

import { useOutside } from "./outside.ts";
import {
	type Page,
	type ParameterName,
	parameters,
	scopeParameters,
} from "./parameters.ts";

// Every state of the page is in the address's fragment, `#/entities?table=films`:
// a link to it opens the same, wherever the studio is mounted, and no server's
// log has what was searched for.

export type { Page };
export const pages = Object.keys(parameters) as Page[];

export type Params = Readonly<Partial<Record<ParameterName, string>>>;

export interface Route {
	readonly page: Page;
	readonly params: Params;
}

/** `undefined` or an empty text removes a parameter. */
export type Change = Readonly<
	Partial<Record<ParameterName, string | undefined>>
>;

const lasting = Object.keys(
	scopeParameters,
) as (keyof typeof scopeParameters)[];

const listeners = new Set<() => void>();
let current = read();

window.addEventListener("popstate", publish);
window.addEventListener("hashchange", publish);

export function useRoute(): Route {
	return useOutside(subscribe, () => current);
}

/** The address of a page, with the scope of the current one. */
export function hrefOf(page: Page, params: Change = {}): string {
	const search = new URLSearchParams();
	const scope = lasting.map((name) => [name, current.params[name]] as const);
	const all = { ...Object.fromEntries(scope), ...params };
	for (const [name, value] of Object.entries(all))
		if (value !== undefined && value !== "") search.set(name, value);
	const text = search.toString();
	return text === "" ? `#/${page}` : `#/${page}?${text}`;
}

/** The address of the current page with some parameters changed. */
export function hrefWith(change: Change): string {
	return hrefOf(current.page, { ...current.params, ...change });
}

export function navigate(page: Page, params: Change = {}): void {
	go(hrefOf(page, params), { replace: false });
}

/** Changes parameters of the current page. */
export function setParams(change: Change, { replace = false } = {}): void {
	go(hrefWith(change), { replace });
}

function go(href: string, { replace }: { readonly replace: boolean }): void {
	if (href === window.location.hash) return;
	if (replace) window.history.replaceState(null, "", href);
	else window.history.pushState(null, "", href);
	publish();
}

function publish(): void {
	const before = current.page;
	current = read();
	for (const listener of listeners) listener();
	if (current.page !== before) window.scrollTo(0, 0);
}

function subscribe(listener: () => void): () => void {
	listeners.add(listener);
	return () => listeners.delete(listener);
}

function read(): Route {
	const [path = "", text = ""] = splitOnce(window.location.hash.slice(1), "?");
	const name = path.replace(/^\//, "");
	const page = pages.find((page) => page === name) ?? "search";
	const known = { ...scopeParameters, ...parameters[page] };
	const given = [...new URLSearchParams(text)];
	return {
		page,
		params: Object.fromEntries(
			given.filter(([name]) => Object.hasOwn(known, name)),
		),
	};
}

function splitOnce(text: string, separator: string): string[] {
	const at = text.indexOf(separator);
	return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

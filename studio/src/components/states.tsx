import type { ComponentChildren } from "preact";
import type { Failure } from "../lib/failure.ts";
import type { Loaded } from "../lib/load.ts";

export function Loading({ label }: { readonly label: string }) {
	return (
		<div class="skeleton" role="status" aria-label={label}>
			<span />
			<span />
			<span />
			<span />
		</div>
	);
}

/** Nothing to show, and what to do about it. */
export function Empty({
	title,
	children,
}: {
	readonly title: string;
	readonly children?: ComponentChildren;
}) {
	return (
		<div class="state">
			<h2>{title}</h2>
			{children}
		</div>
	);
}

/** What went wrong, and what to do about it. */
export function Problem({
	failure,
	retry,
}: {
	readonly failure: Failure;
	readonly retry?: () => void;
}) {
	return (
		<div class="notice bad" role="alert">
			<p>
				<strong>{sentence(failure.message)}</strong>{" "}
				{failure.hint === undefined ? "" : `${sentence(failure.hint)} `}
				<span class="muted mono">{failure.code}</span>
				{failure.isPassing ? " Trying again by itself." : ""}
			</p>
			{retry === undefined ? null : (
				<button type="button" class="button small" onClick={retry}>
					Try again
				</button>
			)}
		</div>
	);
}

/** A loaded value: loading, failed, or there; an older one stays visible, paler, while a newer is loaded. */
export function Show<T>({
	loaded,
	label,
	children,
}: {
	readonly loaded: Loaded<T>;
	readonly label: string;
	readonly children: (value: T) => ComponentChildren;
}) {
	const { value, failure, isLoading, reload } = loaded;
	return (
		<>
			{failure === undefined ? null : (
				<Problem failure={failure} retry={reload} />
			)}
			{value === undefined ? (
				isLoading && failure === undefined ? (
					<Loading label={label} />
				) : null
			) : (
				<div
					class={
						isLoading || failure !== undefined ? "stack is-stale" : "stack"
					}
					aria-busy={isLoading}
				>
					{children(value)}
				</div>
			)}
		</>
	);
}

/** Messages of errors begin small and end without a full stop. */
export function sentence(text: string): string {
	const trimmed = text.trim();
	const end = /[.?!…]$/.test(trimmed) ? "" : ".";
	return trimmed.charAt(0).toUpperCase() + trimmed.slice(1) + end;
}

/** One of a few: links, so that each has an address. */
export function Segments<T extends string>({
	label,
	options,
	chosen,
	href,
}: {
	readonly label: string;
	readonly options: readonly { readonly value: T; readonly text: string }[];
	readonly chosen: T;
	readonly href: (value: T) => string;
}) {
	return (
		<fieldset class="segments" aria-label={label}>
			{options.map(({ value, text }) => (
				<a
					key={value}
					href={href(value)}
					aria-current={value === chosen ? "true" : undefined}
				>
					{text}
				</a>
			))}
		</fieldset>
	);
}

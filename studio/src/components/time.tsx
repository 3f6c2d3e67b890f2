import { timeOf } from "../lib/format.ts";

/** Local; in UTC when the pointer rests on it. */
export function Time({ at }: { readonly at: string }) {
	const { local, utc } = timeOf(at);
	return (
		<time dateTime={at} title={utc}>
			{local}
		</time>
	);
}

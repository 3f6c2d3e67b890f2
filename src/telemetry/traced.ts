import type { Attributes } from "@opentelemetry/api";
import { tracer } from "./api.ts";
import { span } from "./span.ts";

/** How the calls of a method become spans. */
export interface TracedMethod {
	/** The span's name and its `db.operation.name`. */
	readonly operation: string;
	/** The table, if the call is about one that exists. */
	readonly table?: (self: never, options: never) => string | undefined;
	/** What the result tells, in names and counts. */
	readonly found?: (result: never) => Attributes;
}

/**
 * Gives each call of these methods a span. Where nobody listens a call goes
 * straight to its method: no object is made for it.
 */
export function traced(
	prototype: object,
	methods: Readonly<Record<string, TracedMethod>>,
): void {
	for (const [name, method] of Object.entries(methods)) {
		const work = Reflect.get(prototype, name) as Work;
		Object.defineProperty(prototype, name, {
			configurable: true,
			writable: true,
			value(this: object, ...given: never[]) {
				return tracer() === undefined
					? work.apply(this, given)
					: inSpan(method, this, given[0] as never, () =>
							work.apply(this, given),
						);
			},
		});
	}
}

type Work = (this: object, ...given: never[]) => Promise<unknown>;

function inSpan(
	{ operation, table, found }: TracedMethod,
	self: object,
	options: never,
	work: () => Promise<unknown>,
): Promise<unknown> {
	const name = table?.(self as never, options);
	return span(
		name === undefined ? operation : `${operation} ${name}`,
		{
			attributes: databaseAttributes(operation, name),
			found: found as ((result: unknown) => Attributes) | undefined,
		},
		work,
	);
}

/** OpenTelemetry's words for a call to a database. */
export function databaseAttributes(
	operation: string,
	table?: string,
): Attributes {
	return {
		"db.system.name": "postgresql",
		"db.operation.name": operation,
		...(table === undefined ? {} : { "db.collection.name": table }),
	};
}

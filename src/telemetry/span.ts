import type {
	Attributes,
	Span,
	SpanKind,
	SpanStatusCode,
} from "@opentelemetry/api";
import { RemError } from "../errors.ts";
import { activeSpan, tracer } from "./api.ts";

export interface SpanOptions<T> {
	/** Names and counts only: never content, keys, texts or tenants. */
	readonly attributes?: Attributes;
	/** Attributes of the result: names and counts. */
	readonly found?: ((result: T) => Attributes) | undefined;
	/** Begins a trace of its own, as work in the background does. @default false */
	readonly root?: boolean;
}

// The package's own enums: it may not be there to import them from.
const client = 2 satisfies SpanKind.CLIENT as SpanKind;
const failed = 2 satisfies SpanStatusCode.ERROR as SpanStatusCode;

/** Runs the work in a span, if a tracer provider is registered. */
export function span<T>(
	name: string,
	options: SpanOptions<T>,
	work: () => Promise<T>,
): Promise<T> {
	const active = tracer();
	if (active === undefined) return work();
	const { attributes = {}, root = false } = options;
	return active.startActiveSpan(
		name,
		{ kind: client, attributes, root },
		(current) => run(current, options, work),
	);
}

async function run<T>(
	current: Span,
	{ found }: SpanOptions<T>,
	work: () => Promise<T>,
): Promise<T> {
	try {
		const result = await work();
		if (found !== undefined) current.setAttributes(found(result));
		return result;
	} catch (error) {
		// Not the error itself: its message may name a key or a tenant.
		current.setAttributes(failureAttributes(error));
		current.setStatus({ code: failed });
		throw error;
	} finally {
		current.end();
	}
}

function failureAttributes(error: unknown): Attributes {
	const state = error instanceof RemError ? error.sqlState : undefined;
	return {
		"error.type": errorType(error),
		...(state === undefined ? {} : { "db.response.status_code": state }),
	};
}

/** A word of a small set: our code, else the class. */
export function errorType(error: unknown): string {
	if (error instanceof RemError) return error.code;
	return error instanceof Error ? error.name : "_OTHER";
}

/** Adds to the span of the call that this is part of. */
export function note(name: string, value: string | number | boolean): void {
	if (tracer() !== undefined) activeSpan()?.setAttribute(name, value);
}

/** The same, for what may happen more than once. */
export function noteEvent(name: string, attributes: Attributes): void {
	if (tracer() !== undefined) activeSpan()?.addEvent(name, attributes);
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

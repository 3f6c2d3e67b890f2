import type * as Api from "@opentelemetry/api";
import { RemError } from "../errors.ts";
import { membersOf } from "../util/present.ts";

const packageName = "@opentelemetry/api";

/** The name under which spans and metrics are reported. */
const scope = "remdb";

// One for the process, as the providers that it leads to are.
let api: typeof Api | undefined;
let loading: Promise<void> | undefined;

/** Before the first use; a program without OpenTelemetry continues without it. */
export function loadTelemetry(): Promise<void> {
	loading ??= loadApi(importApi).then((loaded) => {
		api = loaded;
	});
	return loading;
}

/** A bundler refuses to build without an optional package, unless its import has a `catch`. */
function importApi(): Promise<typeof Api> {
	return import("@opentelemetry/api").catch((error: unknown) => {
		throw error;
	});
}

/** The package, or `undefined` where it is not installed; whatever else fails is `CONFIG_INVALID`. */
export async function loadApi<T>(
	load: () => Promise<T>,
): Promise<T | undefined> {
	try {
		return await load();
	} catch (error) {
		if (isNotInstalled(error)) return undefined;
		throw new RemError("CONFIG_INVALID", `${packageName} cannot be loaded`, {
			hint: "reinstall it, or remove it: it is optional",
			cause: error,
		});
	}
}

/** What a module loader reports of exactly that package, or a file that Vite puts in its place. */
function isNotInstalled(error: unknown): boolean {
	const { code, message } = membersOf(error);
	if (typeof message !== "string") return false;
	if (message.startsWith(`Could not resolve "${packageName}"`)) return true;
	return (
		(code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND") &&
		message.includes(`'${packageName}'`)
	);
}

/** `undefined` where no tracer provider is registered: then no work is done for spans. */
export function tracer(): Api.Tracer | undefined {
	const provider = api?.trace.getTracerProvider() as
		| Api.ProxyTracerProvider
		| undefined;
	if (provider === undefined) return undefined;
	return provider.getDelegateTracer === undefined
		? provider.getTracer(scope)
		: provider.getDelegateTracer(scope);
}

export function activeSpan(): Api.Span | undefined {
	return api?.trace.getActiveSpan();
}

export function meterProvider(): Api.MeterProvider | undefined {
	return api?.metrics.getMeterProvider();
}

export function meterOf(provider: Api.MeterProvider): Api.Meter {
	return provider.getMeter(scope);
}

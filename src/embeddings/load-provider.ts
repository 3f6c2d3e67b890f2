import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { RemError } from "../errors.ts";
import { membersOf } from "../util/present.ts";
import { fromAiSdk, isAiSdkModel } from "./ai-sdk.ts";
import { checkProvider } from "./check-provider.ts";
import type { EmbeddingProvider } from "./provider.ts";
import type { ProviderSettings } from "./resolve-provider.ts";

const prefix = "module:";

/** Whether the provider is named by a module: `module:./my-provider.mjs`, `module:my-package`. */
export function isModuleProvider({ provider }: ProviderSettings): boolean {
	return provider.startsWith(prefix);
}

/**
 * The provider that a module exports as default: an `EmbeddingProvider`, an
 * embedding model of the AI SDK, or a function that makes one of the settings
 * (without `provider`; it may be async). A path is relative to the working
 * directory, a package is looked up from there.
 *
 * The prefix is needed because a misspelt name of a built-in provider must stay
 * a misspelt name, not become a package that is loaded and run.
 */
export async function loadProvider(
	settings: ProviderSettings,
): Promise<EmbeddingProvider> {
	const { provider: name, ...rest } = settings;
	const value = await made(name, rest);
	const { dimensions } = settings;
	if (isAiSdkModel(value))
		return fromAiSdk(value, dimensions === undefined ? {} : { dimensions });
	return checkProvider(value, `the default export of "${name}"`);
}

async function made(
	name: string,
	settings: Omit<ProviderSettings, "provider">,
): Promise<unknown> {
	const specifier = name.slice(prefix.length);
	try {
		const value = await defaultExport(specifier);
		return typeof value === "function" ? await value(settings) : value;
	} catch (error) {
		if (error instanceof RemError) throw error;
		throw notLoaded(specifier, error);
	}
}

interface Module {
	readonly default?: unknown;
}

function importModule(specifier: string): Promise<Module> {
	return import(specifier);
}

async function defaultExport(specifier: string): Promise<unknown> {
	const here = pathToFileURL(join(process.cwd(), "/")).href;
	if (/^(\.{0,2}\/|file:)/.test(specifier))
		return (await importModule(new URL(specifier, here).href)).default;
	try {
		return (await importModule(specifier)).default;
	} catch (error) {
		if (membersOf(error).code !== "ERR_MODULE_NOT_FOUND") throw error;
	}
	// Not a neighbour of ours, as with pnpm: the working directory's own package.
	const path = createRequire(here).resolve(specifier);
	const found = (await importModule(pathToFileURL(path).href)).default;
	// What `require` finds may be CommonJS made of a module.
	return (found as Module | undefined)?.default ?? found;
}

/** The module's own words are left out: it may have read the key when it failed. */
function notLoaded(specifier: string, error: unknown): RemError {
	const { code, name } = membersOf(error);
	const kind = [code, name].find(
		(word) => typeof word === "string" && /^\w{1,60}$/.test(word),
	);
	return new RemError(
		"CONFIG_INVALID",
		`the embedding provider "${prefix}${specifier}" cannot be loaded (${kind ?? "it threw"})`,
		{
			hint: `a path is relative to the working directory; node --eval 'import("${specifier}")' shows what is wrong`,
		},
	);
}

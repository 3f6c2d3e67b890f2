import { RemError } from "../errors.ts";
import type { EmbeddingProvider } from "./provider.ts";

/** The value, if it has the shape of a provider; else `CONFIG_INVALID` names the member that is wrong. */
export function checkProvider(
	value: unknown,
	origin: string,
): EmbeddingProvider {
	const provider = (
		typeof value === "object" && value !== null ? value : {}
	) as EmbeddingProvider;
	const problem = shapeProblem(provider);
	if (problem === undefined) return provider;
	throw new RemError(
		"CONFIG_INVALID",
		`${origin} is not an embedding provider: ${problem}`,
		{
			hint: "expected { name, model, dimensions, limits: { maxTexts }, embed(texts, { purpose, signal }) }, see docs/embeddings.md",
		},
	);
}

function shapeProblem({
	name,
	model,
	dimensions,
	limits,
	embed,
}: EmbeddingProvider): string | undefined {
	if (!isName(name, 50)) return "name is not a text of 1 to 50 characters";
	if (!isName(model, 100)) return "model is not a text of 1 to 100 characters";
	if (!isCount(dimensions) || dimensions > 16_000)
		return "dimensions is not a whole number from 1 to 16000";
	if (!isCount(limits?.maxTexts))
		return "limits.maxTexts is not a whole number from 1";
	if (!isCount(limits.maxTokensPerText ?? 1))
		return "limits.maxTokensPerText is not a whole number from 1";
	return typeof embed === "function" ? undefined : "embed is not a function";
}

function isName(value: unknown, length: number): boolean {
	return typeof value === "string" && value !== "" && value.length <= length;
}

function isCount(value: unknown): boolean {
	return typeof value === "number" && Number.isSafeInteger(value) && value >= 1;
}

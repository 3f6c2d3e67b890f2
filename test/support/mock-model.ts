/** What a mock model answers, one step a call: a text, or a call of a tool. */
export type Step =
	| string
	| {
			readonly tool: string;
			readonly input: Readonly<Record<string, unknown>>;
	  };

/** Versions of the specification of language models: those of the AI SDK 5 and 6. */
export type Specification = "v2" | "v3";

/** A language model that answers by a script, and has what it was asked. */
export function mockModel<Version extends Specification>(
	specificationVersion: Version,
	script: readonly Step[],
) {
	const asked: string[] = [];
	return {
		specificationVersion,
		provider: "mock",
		modelId: "mock",
		supportedUrls: {},
		/** Each call as JSON. */
		asked,
		async doGenerate(options: unknown) {
			const step = script[asked.length] ?? "…";
			asked.push(JSON.stringify(options));
			const kind = typeof step === "string" ? "stop" : "tool-calls";
			const content =
				typeof step === "string"
					? { type: "text", text: step }
					: {
							type: "tool-call",
							toolCallId: `call-${asked.length}`,
							toolName: step.tool,
							input: JSON.stringify(step.input),
						};
			return {
				content: [content],
				finishReason:
					specificationVersion === "v2" ? kind : { unified: kind, raw: kind },
				usage:
					specificationVersion === "v2"
						? { inputTokens: 1, outputTokens: 1, totalTokens: 2 }
						: {
								inputTokens: {
									total: 1,
									noCache: 1,
									cacheRead: 0,
									cacheWrite: 0,
								},
								outputTokens: { total: 1, text: 1, reasoning: 0 },
							},
				warnings: [],
			};
		},
		async doStream(): Promise<never> {
			throw new Error("the mock does not stream");
		},
	};
}

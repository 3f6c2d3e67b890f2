/** What a mock model answers, one entry a call: a text, or calls of tools. */
export type Script = readonly (
	| string
	| { readonly tool: string; readonly input: unknown }
)[];

/** An answer of a language model as the SDK's mock models return it, for versions 2 to 4 of their specification. */
export function scripted(script: Script) {
	let at = 0;
	const asked: { readonly prompt: unknown; readonly tools?: unknown }[] = [];
	return {
		/** What the model was asked, call by call. */
		asked,
		async doGenerate(options: never) {
			asked.push(options);
			const step = script[at++] ?? "…";
			const usage = {
				inputTokens: tokens(1),
				outputTokens: tokens(1),
				totalTokens: 2,
			};
			const isText = typeof step === "string";
			return {
				content: isText
					? [{ type: "text" as const, text: step }]
					: [
							{
								type: "tool-call" as const,
								toolCallId: `call-${at}`,
								toolName: step.tool,
								input: JSON.stringify(step.input),
							},
						],
				finishReason: isText ? "stop" : "tool-calls",
				usage,
				warnings: [],
			};
		},
	};
}

function tokens(count: number): number {
	return count;
}

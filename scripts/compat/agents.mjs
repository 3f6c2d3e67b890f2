// What the package has for agents, with the newest versions of what it stands on: the AI SDK 7
// (which needs Node.js 22) and LangChain. Prints "ok".
import { generateText, stepCountIs } from "ai";
import { PostgresService } from "remdb";
import { remTools } from "remdb/ai";
import { RemRetriever, RemVectorStore } from "remdb/langchain";

const expect = (what, found) => {
	if (!found) throw new Error(what);
};

/** A model that answers by a script, in the specification of the AI SDK 7. */
function mockModel(script) {
	let at = 0;
	return {
		specificationVersion: "v4",
		provider: "mock",
		modelId: "mock",
		supportedUrls: {},
		doGenerate: async () => {
			const step = script[at++];
			const kind = typeof step === "string" ? "stop" : "tool-calls";
			return {
				content: [
					typeof step === "string"
						? { type: "text", text: step }
						: {
								type: "tool-call",
								toolCallId: `call-${at}`,
								toolName: step.tool,
								input: JSON.stringify(step.input),
							},
				],
				finishReason: { unified: kind, raw: kind },
				usage: {
					inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
					outputTokens: { total: 1, text: 1, reasoning: 0 },
				},
				warnings: [],
			};
		},
	};
}

const service = await PostgresService.connect({
	connectionString: process.env.DATABASE_URL,
	embedding: { provider: "local" },
});
await service.migrate();
const tenantId = "acme";
const entities = [{ name: "battery", content: "It lasts nine hours." }];
const { text, steps } = await generateText({
	model: mockModel([
		{ tool: "remember", input: { table: "resources", entities } },
		{ tool: "recall", input: { query: "battery" } },
		"Nine hours.",
	]),
	prompt: "How long does the battery last?",
	tools: remTools(service.scope({ tenantId })),
	stopWhen: stepCountIs(5),
});
expect("the model's answer", text === "Nine hours.");
const results = JSON.stringify(steps.map(({ toolResults }) => toolResults));
expect("what was recalled", results.includes("It lasts nine hours."));

const { registry } = service;
const { entity } = registry.get("resources");
const store = new RemVectorStore({
	service,
	entity,
	tenantId,
	textField: "content",
});
await store.addDocuments([
	{ id: "motor", pageContent: "The motor is quiet.", metadata: { by: "me" } },
]);
const [found] = await store.similaritySearch("quiet motor", 1, { by: "me" });
expect("the document", found?.id === "motor");
const retriever = new RemRetriever({ service, tenantId, k: 1 });
const [recalled] = await retriever.invoke("how long does the battery last?");
expect("the recalled document", recalled?.metadata.entityKey === "battery");
await service.close();
console.log("ok");

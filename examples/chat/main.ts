import { createInterface } from "node:readline/promises";
import { PostgresService } from "remdb";
import { openChat } from "./chat.ts";

// The model is CHAT_MODEL, as the AI SDK's gateway names it: openai/gpt-5, anthropic/claude-sonnet-4.5, …
// (its key: AI_GATEWAY_API_KEY). The database is the embedded one in ./.rem, or DATABASE_URL.
const { CHAT_MODEL: model, CHAT_USER: userId = "me" } = process.env;
if (model === undefined)
	throw new Error(
		"set CHAT_MODEL, such as openai/gpt-5, and AI_GATEWAY_API_KEY",
	);

const service = await PostgresService.connect();
await service.migrate();
const sessionId = new Date().toISOString();
const reply = await openChat({
	service,
	model,
	tenantId: "default",
	userId,
	sessionId,
});
const terminal = createInterface({
	input: process.stdin,
	output: process.stdout,
});
terminal.setPrompt("> ");
terminal.prompt();
for await (const line of terminal) {
	if (line.trim() !== "") console.log(await reply(line));
	terminal.prompt();
}
await service.close();

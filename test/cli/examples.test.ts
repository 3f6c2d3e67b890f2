import { Message, PostgresService, Session } from "remdb";
import { expect, test } from "vitest";
import { openChat } from "../../examples/chat/chat.ts";
import { mockModel, type Step } from "../support/mock-model.ts";
import { emptyDatabase, engines } from "./run-rem.ts";

test.each(engines)(
	"the chat remembers in another session: %s",
	async (engine) => {
		const service = await PostgresService.connect({
			connectionString: await emptyDatabase(engine),
			embedding: { provider: "local" },
		});
		try {
			await service.migrate();
			const chat = (
				sessionId: string,
				script: readonly Step[],
				userId = "sarah",
			) => {
				const model = mockModel("v3", script);
				const options = { service, tenantId: "acme", userId, sessionId };
				return openChat({ ...options, model: model as never }).then(
					(reply) => ({ reply, model }),
				);
			};
			const monday = await chat("monday", [
				{
					tool: "remember",
					input: {
						table: "resources",
						entities: [
							{ name: "favourite-tea", content: "The user likes jasmine tea." },
						],
					},
				},
				"I will remember that.",
				"You said so just now.",
			]);
			expect(await monday.reply("I like jasmine tea.")).toBe(
				"I will remember that.",
			);
			await monday.reply("What did I say?");
			// The conversation so far is part of what the model reads.
			expect(monday.model.asked.at(-1)).toContain("I like jasmine tea.");

			const friday = await chat("friday", ["Jasmine tea."]);
			expect(await friday.reply("Which tea do I like?")).toBe("Jasmine tea.");
			expect(friday.model.asked[0]).toContain("The user likes jasmine tea.");

			const others = await chat("thursday", ["I do not know."], "thomas");
			await others.reply("Which tea do I like?");
			expect(others.model.asked[0]).not.toContain("jasmine");

			const memory = service.scope({ tenantId: "acme", userId: "sarah" });
			const messages = await memory
				.repository(Message)
				.getBySession({ sessionId: "monday" });
			expect(messages.map(({ messageType }) => messageType)).toEqual([
				"user",
				"assistant",
				"user",
				"assistant",
			]);
			expect(await memory.repository(Session).count({})).toBe(2);
		} finally {
			await service.close();
		}
	},
);

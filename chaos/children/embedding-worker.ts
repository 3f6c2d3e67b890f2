/** Embeds what is queued until it is killed. */
import { setTimeout as sleep } from "node:timers/promises";
import { isExpected } from "../support/expected-errors.ts";
import { connectNotes, type NoteService } from "../support/notes.ts";

const [url = "", baseUrl = ""] = process.argv.slice(2);
const service = await connectPatiently();
service.embeddings.start();
process.stdout.write("started\n");
// The worker alone keeps no process alive.
setInterval(() => {}, 60_000);

/** It may be started while the server comes up again. */
async function connectPatiently(): Promise<NoteService> {
	for (;;)
		try {
			return await connectNotes(url, baseUrl);
		} catch (error) {
			if (!isExpected(error)) throw error;
			await sleep(200);
		}
}

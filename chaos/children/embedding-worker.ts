/** Embeds what is queued until it is killed. */
import { connectNotes } from "../support/notes.ts";

const [url = "", baseUrl = ""] = process.argv.slice(2);
const service = await connectNotes(url, baseUrl);
service.embeddings.start();
process.stdout.write("started\n");
// The worker alone keeps no process alive.
setInterval(() => {}, 60_000);

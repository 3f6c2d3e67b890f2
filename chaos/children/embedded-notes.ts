/** Changes and embeds notes of the embedded database in a folder, until it is killed. */
import { changeNotes, upsertNotes } from "../support/note-writers.ts";
import { connectNotes, noteName, randomText } from "../support/notes.ts";
import { Stage } from "../support/stage.ts";
import { Tally } from "../support/tally.ts";

const [folder = "", baseUrl = "", count = "0"] = process.argv.slice(2);
const service = await connectNotes(`file:${folder}`, baseUrl);
await service.migrate();
// Something to embed from the first moment on.
for (let number = 0; number < Number(count); number++)
	await service.execute(
		"INSERT INTO notes (tenant_id, name, content) SELECT 'north', $1, $2 WHERE NOT EXISTS (SELECT FROM notes WHERE name = $1)",
		[noteName(number), randomText()],
	);
service.embeddings.start();
const tally = new Tally();
const stage = new Stage();
const upsert = upsertNotes(service, tally);
const change = changeNotes(service, tally, "read committed");
stage.act("upserts", () => upsert(Number(count)), 5);
stage.act("changes", () => change(Number(count)), 5);
process.stdout.write("started\n");
// What goes wrong is printed, and seen at the end.
setInterval(() => stage.check(), 1000);

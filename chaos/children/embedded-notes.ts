/** Changes and embeds notes of the embedded database in a folder, until it is killed. */
import { act } from "../support/actors.ts";
import { changeNotes, upsertNotes } from "../support/note-writers.ts";
import { connectNotes, noteName, randomText } from "../support/notes.ts";
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
const stage = {
	isOver: () => false,
	fail: (error: unknown) => {
		throw error;
	},
};
process.stdout.write("started\n");
for (const step of [
	upsertNotes(service, tally),
	changeNotes(service, tally, "read committed"),
])
	void act(stage, () => step(Number(count)), 5);

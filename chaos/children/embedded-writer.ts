/** Writes to the embedded database in a folder and says on stdout what was acknowledged, until it is killed. */
import { connect } from "../support/load.ts";

const [folder = "", from = "0"] = process.argv.slice(2);
const service = await connect(`file:${folder}`);
await service.migrate();
for (let number = Number(from); ; number += 5) {
	const names = [0, 1, 2, 3, 4].map((offset) => `item ${number + offset}`);
	const { ids } = await service.batchUpsert({
		tableName: "items",
		entities: names.map((name) => ({ name, content: "text", rev: 0 })),
		tenantId: "north",
	});
	await service.execute(
		"UPDATE items SET name = name || ' renamed', rev = 1 WHERE id = $1",
		[ids[0] ?? ""],
	);
	process.stdout.write(
		`${JSON.stringify([`${names[0]} renamed`, ...names.slice(1)])}\n`,
	);
}

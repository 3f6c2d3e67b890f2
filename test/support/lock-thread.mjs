// A thread with its own copy of the lock: takes the folder's lock on request.
import { parentPort, workerData } from "node:worker_threads";
import { createJiti } from "jiti";

const { lockFolder } = await createJiti(import.meta.url).import(
	"../../src/db/embedded-lock.ts",
);
let lock;
parentPort.on("message", async (message) => {
	if (message === "release") {
		lock?.release();
		lock = undefined;
		parentPort.postMessage("released");
		return;
	}
	try {
		lock = await lockFolder(workerData.path, "db");
		parentPort.postMessage("taken");
	} catch (error) {
		parentPort.postMessage(error.code);
	}
});
parentPort.postMessage("ready");

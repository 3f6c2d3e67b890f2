/** The tests' embedding server in a process of its own, until it is ended; says its address. */
import { startEmbeddingServer } from "../../test/support/embedding-server.ts";

const [delayMs = "0"] = process.argv.slice(2);
const server = await startEmbeddingServer({ delayMs: Number(delayMs) });
process.stdout.write(`${server.openaiUrl}\n`);
// Ends with the process that started it.
process.stdin.on("end", () => process.exit()).resume();

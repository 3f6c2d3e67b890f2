// Loaded into a program before it starts: at its end, writes the most memory it
// ever had resident, in MB. The kernel keeps that number; nothing is polled.
import { writeFileSync } from "node:fs";

process.on("exit", () => {
	const { maxRSS } = process.resourceUsage(); // kilobytes
	writeFileSync(process.env.REM_BENCH_PEAK_FILE, String(maxRSS / 1024));
});

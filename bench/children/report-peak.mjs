// Loaded into a program before it starts: at its end, writes the most memory it
// ever had resident, in MB, and its CPU time in ms. The kernel counts both;
// nothing is polled.
import { writeFileSync } from "node:fs";

process.on("exit", () => {
	const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage(); // kilobytes, microseconds
	writeFileSync(
		process.env.REM_BENCH_PEAK_FILE,
		`${maxRSS / 1024} ${(userCPUTime + systemCPUTime) / 1000}`,
	);
});

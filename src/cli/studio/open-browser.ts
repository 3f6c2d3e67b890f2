import { spawn } from "node:child_process";

/** Opens the user's browser, where a person is at the terminal; the address is printed anyway. */
export function openBrowser(address: string): void {
	if (process.stdout.isTTY !== true) return;
	const [command, ...args] = commands[process.platform] ?? ["xdg-open"];
	const child = spawn(command ?? "xdg-open", [...args, address], {
		stdio: "ignore",
		detached: true,
	});
	child.on("error", () => {
		// There is none: the address can be opened by hand.
	});
	child.unref();
}

const commands: Partial<Record<NodeJS.Platform, readonly string[]>> = {
	darwin: ["open"],
	win32: ["explorer"],
};

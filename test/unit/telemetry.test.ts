import { expect, test } from "vitest";
import { argument } from "../../src/calls/arguments.ts";
import {
	async,
	publicMethod,
	traced,
	type Work,
} from "../../src/calls/public-methods.ts";
import { numberOf } from "../../src/models/checks.ts";
import { loadApi } from "../../src/telemetry/api.ts";

const failing = (code: string | undefined, message: string) => () =>
	Promise.reject(Object.assign(new Error(message), { code }));

test("OpenTelemetry's package may be missing", async () => {
	for (const [code, message] of [
		[
			"ERR_MODULE_NOT_FOUND",
			"Cannot find package '@opentelemetry/api' imported from /a/b.js",
		],
		["MODULE_NOT_FOUND", "Cannot find module '@opentelemetry/api'"],
		// What Vite puts into a bundle.
		[
			undefined,
			'Could not resolve "@opentelemetry/api" imported by "remdb". Is it installed?',
		],
	] as const)
		expect(await loadApi(failing(code, message))).toBeUndefined();
});

test("any other failure to load it is no reason to go on without it", async () => {
	const part = failing(
		"ERR_MODULE_NOT_FOUND",
		"Cannot find package 'a-part-of-it' imported from /x/@opentelemetry/api/index.js",
	);
	for (const load of [part, failing("EACCES", "denied")])
		await expect(loadApi(load)).rejects.toMatchObject({
			code: "CONFIG_INVALID",
		});
});

test("without OpenTelemetry a call goes to its method as it is", async () => {
	class Counter {
		value = 0;
		async add(by: number, again: number): Promise<number> {
			this.value += by + again;
			return this.value;
		}
	}
	const { add } = Counter.prototype;
	const by = argument("by", numberOf("a number"));
	const method = traced(async(by, by), { operation: "add" });
	const counter = Object.assign(new Counter(), {
		add: publicMethod("add", method, add as Work),
	});
	expect(await counter.add(1, 2)).toBe(3);
	expect(await counter.add(3, 4)).toBe(10);
});

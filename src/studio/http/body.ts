import type * as z from "zod";
import { RemError } from "../../errors.ts";
import { HttpProblem } from "./problem.ts";

/** Bytes of a request: a long text that is edited has room. */
const maxBytes = 4 * 1024 * 1024;

/** The JSON of the request, as the route takes it. Throws 413 or 400. */
export async function readJson(request: Request): Promise<unknown> {
	const text = await readText(request);
	try {
		return JSON.parse(text);
	} catch {
		throw new RemError("VALIDATION", "the request's body is not JSON");
	}
}

async function readText(request: Request): Promise<string> {
	const announced = Number(request.headers.get("content-length") ?? 0);
	if (announced > maxBytes) throw tooLarge();
	const chunks: Uint8Array[] = [];
	let bytes = 0;
	const reader = request.body?.getReader();
	for (;;) {
		const part = await reader?.read();
		if (part?.value === undefined) break;
		bytes += part.value.byteLength;
		if (bytes > maxBytes) {
			await reader?.cancel();
			throw tooLarge();
		}
		chunks.push(part.value);
	}
	return Buffer.concat(chunks).toString("utf8");
}

function tooLarge(): HttpProblem {
	return new HttpProblem(413, {
		code: "TOO_LARGE",
		message: `a request has at most ${maxBytes} bytes`,
	});
}

/** The value as the schema takes it. Throws `VALIDATION` with the fields. */
export function parseInput<T>(schema: z.ZodType<T>, value: unknown): T {
	const result = schema.safeParse(value);
	if (result.success) return result.data;
	const issues = result.error.issues.map(({ path, message }) => ({
		field: path.map(String).join("."),
		message: message.charAt(0).toLowerCase() + message.slice(1),
	}));
	const list = issues.map(({ field, message }) =>
		field === "" ? message : `${field}: ${message}`,
	);
	throw new RemError(
		"VALIDATION",
		`the request cannot be used: ${list.slice(0, 5).join("; ")}`,
		{ issues },
	);
}

import { RemError } from "../../errors.ts";
import type { AnyService } from "../open-service.ts";

// Less than the patience of a probe: it is answered, not cut off.
const patienceMs = 2000;

/** Whether a LOOKUP works, from the cache or without it; asked once at a time, however many ask. */
export class ReadinessCheck {
	#service: AnyService | undefined;
	#checking: Promise<string | undefined> | undefined;

	/** From here on there is something to ask; `undefined`: no longer. */
	use(service: AnyService | undefined): void {
		this.#service = service;
	}

	/** The code of what is wrong, or `undefined`. */
	async reason(): Promise<string | undefined> {
		if (this.#service === undefined) return "NOT_CONNECTED";
		this.#checking ??= lookUp(this.#service).finally(() => {
			this.#checking = undefined;
		});
		return Promise.race([this.#checking, tooLate()]);
	}
}

async function lookUp(service: AnyService): Promise<string | undefined> {
	try {
		await service.lookupEntity({ entityKey: "readyz" });
		return undefined;
	} catch (error) {
		return error instanceof RemError ? error.code : "INTERNAL";
	}
}

function tooLate(): Promise<string> {
	return new Promise((resolve) => {
		setTimeout(() => resolve("NO_ANSWER"), patienceMs).unref();
	});
}

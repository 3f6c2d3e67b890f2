import type { ErrorResponse } from "../../../src/studio/api/common.ts";

type Details = ErrorResponse["error"] & { readonly status: number };

/** What a call of the API failed with. */
export class Failure extends Error {
	readonly status: number;
	readonly code: string;
	readonly hint: string | undefined;
	readonly position: number | undefined;
	readonly issues: NonNullable<Details["issues"]>;

	constructor({ status, code, message, hint, position, issues }: Details) {
		super(message);
		this.status = status;
		this.code = code;
		this.hint = hint;
		this.position = position;
		this.issues = issues ?? [];
	}

	/** Whether the same call can succeed later, without a change. */
	get isPassing(): boolean {
		return this.status === 0 || this.status === 503;
	}
}

export function toFailure(error: unknown): Failure {
	if (error instanceof Failure) return error;
	const message = error instanceof Error ? error.message : String(error);
	return new Failure({ status: -1, code: "PAGE", message });
}

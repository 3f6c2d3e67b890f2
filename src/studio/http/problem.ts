import { RemError } from "../../errors.ts";
import type { ErrorResponse } from "../api/common.ts";

/** What a request is answered with that cannot be served, beside the errors of the service. */
export class HttpProblem extends Error {
	readonly status: number;
	readonly error: ErrorResponse["error"];

	constructor(status: number, error: ErrorResponse["error"]) {
		super(error.message);
		this.status = status;
		this.error = error;
	}
}

export function notFound(message: string): HttpProblem {
	return new HttpProblem(404, { code: "NOT_FOUND", message });
}

/** The error as JSON and its status: a message of anything but a `RemError` is not shown. */
export function problemOf(error: unknown): HttpProblem {
	if (error instanceof HttpProblem) return error;
	if (error instanceof RemError)
		return new HttpProblem(statusOf(error), errorJson(error));
	return new HttpProblem(500, {
		code: "INTERNAL",
		message: "the request failed",
		hint: "the log of the studio's process has the reason",
	});
}

const maxIssues = 100;

function errorJson(error: RemError): ErrorResponse["error"] {
	const { code, message, hint, position, issues } = error;
	return {
		code,
		message,
		...(hint === undefined ? {} : { hint }),
		...(position === undefined ? {} : { position }),
		...(issues.length === 0
			? {}
			: {
					issues: issues.slice(0, maxIssues).map(({ field, message }) => ({
						...(field === undefined ? {} : { field }),
						message,
					})),
				}),
	};
}

const statuses: Readonly<Record<string, number>> = {
	TENANT_MISMATCH: 403,
	DUPLICATE_KEY: 409,
	CANCELLED: 499,
	PROVIDER_NOT_CONFIGURED: 502,
	PROVIDER_FAILED: 502,
	PROVIDER_RATE_LIMITED: 502,
	CONNECTION_FAILED: 503,
	POOL_TIMEOUT: 503,
	EMBEDDED_LOCKED: 503,
	SCHEMA_DRIFT: 503,
	EXTENSION_MISSING: 503,
	QUERY_TIMEOUT: 504,
	OUTCOME_UNKNOWN: 500,
	CONFIG_INVALID: 500,
	DATABASE: 500,
};

function statusOf({ code }: RemError): number {
	return statuses[code] ?? 400;
}

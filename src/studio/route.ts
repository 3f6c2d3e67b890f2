import type * as z from "zod";
import { parseInput } from "./http/body.ts";
import { Place, type StudioScope, type StudioService } from "./place.ts";

/** A path of the API. */
export interface Route {
	readonly method: "GET" | "POST";
	readonly path: string;
	/** Refused by a studio that is read-only. @default false */
	readonly isWrite?: boolean;
	/** The answer to what a client sent, which is checked first. */
	answer(call: RouteCall, given: unknown): Promise<object>;
}

/** What a path takes, and what it answers. */
interface RouteRecord<Input> extends Omit<Route, "answer"> {
	readonly input: z.ZodType<Input>;
	run(call: RouteCall, input: Input): Promise<object>;
}

/** One request. */
export interface RouteCall {
	readonly service: StudioService;
	readonly options: StudioSettings;
	readonly signal: AbortSignal;
	/** The rows that the request is about. */
	place(given: {
		readonly tenantId?: string | undefined;
		readonly userId?: string | null | undefined;
	}): Place;
}

/** How the studio was opened. */
export interface StudioSettings extends StudioScope {
	readonly isWritable: boolean;
	readonly version: string;
}

/** The record of a route; the type of its input is inferred. */
export function route<Input>({
	input,
	run,
	...record
}: RouteRecord<Input>): Route {
	return {
		...record,
		answer: async (call, given) => run(call, parseInput(input, given)),
	};
}

export function routeCall(
	service: StudioService,
	options: StudioSettings,
	signal: AbortSignal,
): RouteCall {
	return {
		service,
		options,
		signal,
		place: (given) => new Place(service, options, { given, signal }),
	};
}

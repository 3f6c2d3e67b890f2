import type * as z from "zod";
import { Place, type StudioScope, type StudioService } from "./place.ts";

/** A path of the API: what it takes, and what it answers. */
export interface Route<Input = never> {
	readonly method: "GET" | "POST";
	readonly path: string;
	/** Refused by a studio that is read-only. @default false */
	readonly isWrite?: boolean;
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
export function route<Input>(record: Route<Input>): Route {
	return record as unknown as Route;
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

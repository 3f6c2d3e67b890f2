import { optionalOptions, options } from "../../calls/arguments.ts";
import { async, rows, traced } from "../../calls/public-methods.ts";
import { RemError } from "../../errors.ts";
import {
	tenantName,
	text,
	userName,
	wholeNumber,
} from "../../models/checks.ts";
import type { Entity } from "../../models/entity.ts";
import { type OptionChecks, required } from "../../models/options.ts";
import { fieldOf } from "../../models/registry.ts";
import type { Row } from "../../models/types.ts";
import { userCondition } from "../../query/scope.ts";
import { findRows } from "../../store/find-rows.ts";
import { rowsVerb } from "../verb.ts";
import { pageOptions, type RepositoryFindOptions } from "./find.ts";
import { bound, rowsHandle, tenantOf } from "./rows.ts";

/** Whose session is read. */
export interface Session {
	readonly sessionId: string;
	readonly tenantId?: string;
	/** Given: that user's and shared rows; `null`: shared only; omitted: all. */
	readonly userId?: string | null;
	/** Only the latest so many rows, still in the order they were created. @default all */
	readonly last?: number;
}

type SessionPage<E> = Omit<RepositoryFindOptions<E>, "orderBy">;

export interface GetBySession<E extends Entity> {
	/**
	 * A session's rows in the order they were created; for models with a
	 * `sessionId`. `last` reads the latest ones only: what a chat shows, and goes on from.
	 *
	 * @example
	 * await messages.getBySession({ sessionId: "s-1", userId: "user123", last: 20 })
	 */
	getBySession(session: Session, options?: SessionPage<E>): Promise<Row<E>[]>;
}

const checks: OptionChecks<Session> = {
	sessionId: required(text),
	tenantId: tenantName,
	userId: userName,
	last: wholeNumber(0),
};

/** @internal */
export const getBySession = rowsVerb({
	name: "getBySession",
	method: traced(async(options(checks), optionalOptions(pageOptions)), {
		operation: "getBySession",
		found: rows,
	}),
	buckets: { tenant: ({ tenantId }: Session) => tenantId },
	run: async (caller, session: Session, options: SessionPage<Entity> = {}) => {
		const { table } = caller;
		fieldOf(table.entity, "sessionId");
		const { last } = session;
		const { tenantId, userId } = bound(caller, session);
		const tenant = tenantOf(caller, tenantId);
		const filter = {
			sessionId: session.sessionId,
			...(tenant === undefined ? {} : { tenantId: tenant }),
		};
		const { limit, offset } = options;
		if (last !== undefined) refusePages(limit ?? offset);
		const db = rowsHandle(caller, options, tenant);
		const rows = await findRows(
			db,
			{ table, filter },
			{
				limit: last ?? limit,
				offset,
				orderBy: last === undefined ? "createdAt" : "createdAt desc",
				condition: userCondition("r", { userId }),
			},
		);
		return last === undefined ? rows : rows.reverse();
	},
});

function refusePages(page: number | undefined): void {
	if (page === undefined) return;
	throw new RemError("VALIDATION", "last is given with limit or offset", {
		hint: "last alone reads the latest rows; limit and offset count from the first one",
	});
}

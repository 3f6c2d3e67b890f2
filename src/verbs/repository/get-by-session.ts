import { optionalOptions, options } from "../../calls/arguments.ts";
import { async, rows, traced } from "../../calls/public-methods.ts";
import { tenantName, text, userName } from "../../models/checks.ts";
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
}

type SessionPage<E> = Omit<RepositoryFindOptions<E>, "orderBy">;

export interface GetBySession<E extends Entity> {
	/** A session's rows in the order they were created; for models with a `sessionId`. */
	getBySession(session: Session, options?: SessionPage<E>): Promise<Row<E>[]>;
}

const checks: OptionChecks<Session> = {
	sessionId: required(text),
	tenantId: tenantName,
	userId: userName,
};

/** @internal */
export const getBySession = rowsVerb({
	name: "getBySession",
	method: traced(async(options(checks), optionalOptions(pageOptions)), {
		operation: "getBySession",
		found: rows,
	}),
	run: async (caller, session: Session, options: SessionPage<Entity> = {}) => {
		const { table } = caller;
		fieldOf(table.entity, "sessionId");
		const { tenantId, userId } = bound(caller, session);
		const tenant = tenantOf(caller, tenantId);
		const filter = {
			sessionId: session.sessionId,
			...(tenant === undefined ? {} : { tenantId: tenant }),
		};
		const { transaction: _, consistency: __, ...page } = options;
		const db = rowsHandle(caller, options, tenant);
		return findRows(
			db,
			{ table, filter },
			{
				...page,
				orderBy: "createdAt",
				condition: userCondition("r", { userId }),
			},
		);
	},
});

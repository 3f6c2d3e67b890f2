import type { Entity } from "../../models/entity.ts";
import type { RowsVerb } from "../verb.ts";
import {
	type Delete,
	deleteRows,
	type Purge,
	purgeRows,
	type Restore,
	restoreRows,
} from "./change.ts";
import { type Count, count } from "./count.ts";
import { type Find, find } from "./find.ts";
import { type FindOne, findOne } from "./find-one.ts";
import { type FindPage, findPage } from "./find-page.ts";
import { type GetById, getById } from "./get-by-id.ts";
import { type GetBySession, getBySession } from "./get-by-session.ts";
import { type Iterate, iterate } from "./iterate.ts";
import { type Update, type UpdateMany, update, updateMany } from "./update.ts";
import { type Upsert, upsert } from "./upsert.ts";
import { type VectorStates, vectorStates } from "./vector-states.ts";

/** @internal Every verb about one entity's rows. The repository and the check of isolation have them from here. */
export const rowsVerbs: readonly RowsVerb[] = [
	upsert,
	update,
	updateMany,
	find,
	findOne,
	findPage,
	iterate,
	count,
	getById,
	getBySession,
	vectorStates,
	deleteRows,
	restoreRows,
	purgeRows,
];

/** The verbs of one entity's rows, as methods of a repository. */
export interface RowsVerbs<E extends Entity>
	extends Upsert<E>,
		Update<E>,
		UpdateMany<E>,
		Find<E>,
		FindOne<E>,
		FindPage<E>,
		Iterate<E>,
		Count<E>,
		GetById<E>,
		GetBySession<E>,
		VectorStates,
		Delete,
		Restore,
		Purge {}

// The types that the signatures name; src/index.ts exports what this file does.
export type {
	RepositoryFindOptions,
	RepositoryOrderBy,
} from "./find.ts";
export type { FindOneOptions } from "./find-one.ts";
export type { FindPageOptions, RowPage } from "./find-page.ts";
export type { Session as RepositorySession } from "./get-by-session.ts";
export type { RepositoryReadOptions } from "./rows.ts";
export type { RepositoryUpdateOptions } from "./update.ts";
export type { RepositoryUpsertOptions } from "./upsert.ts";

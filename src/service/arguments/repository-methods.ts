import {
	anyText,
	numberOf,
	oneOrList,
	record,
	tenantName,
	text,
	transactionHandle,
	userName,
} from "../../models/checks.ts";
import type { Entity } from "../../models/entity.ts";
import { type OptionChecks, required } from "../../models/options.ts";
import type {
	RepositoryFindOptions,
	RepositoryReadOptions,
	RepositoryUpsertOptions,
	Session,
} from "../repository.ts";
import {
	argument,
	async,
	iterator,
	type MethodArguments,
	optional,
	optionalOptions,
	options,
} from "./argument.ts";
import { callScope, consistency, upsertChecks } from "./service-methods.ts";

const upsert: OptionChecks<RepositoryUpsertOptions> = {
	...callScope,
	...upsertChecks,
};

const read: OptionChecks<RepositoryReadOptions> = {
	transaction: transactionHandle,
	consistency,
};

const page = {
	...read,
	limit: numberOf("a whole number from 0"),
	offset: numberOf("a whole number from 0"),
};

const find: OptionChecks<RepositoryFindOptions<Entity>> = {
	...page,
	orderBy: oneOrList(anyText),
};

const filter = optional("filter", record);

const session: OptionChecks<Session> = {
	sessionId: required(text),
	tenantId: tenantName,
	userId: userName,
};

const change = async(
	argument("id", oneOrList(text)),
	optional("tenantId", tenantName),
	optionalOptions({ transaction: transactionHandle }),
);

export const repositoryMethods: Readonly<Record<string, MethodArguments>> = {
	upsert: async(argument("entities", rows), optionalOptions(upsert)),
	find: async(filter, optionalOptions(find)),
	iterate: iterator(
		filter,
		optionalOptions({ ...read, orderBy: find.orderBy }),
	),
	count: async(filter, optionalOptions(read)),
	getById: async(
		argument("id", text),
		optional("tenantId", tenantName),
		optionalOptions(read),
	),
	getBySession: async(options(session), optionalOptions(page)),
	delete: change,
	restore: change,
	purge: change,
};

/** One row or several; each of them is checked against the model. */
function rows(value: unknown): string | undefined {
	return Array.isArray(value) ? undefined : record(value);
}

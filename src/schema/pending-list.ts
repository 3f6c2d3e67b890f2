import { raw } from "../sql.ts";

const limit = "gin_pending_list_limit = 256";

/**
 * New entries of a GIN index wait in a list that each search reads as a whole, by
 * default up to 4 MB of it. Measured with the names of 6,000 films, and 4,000 more
 * written, in processor time:
 *
 * | list   | writing, and emptying the list at the end | slowest search; 1.1 ms with an empty list |
 * | ------ | ----------------------------------------- | ---------------------------------------- |
 * | 4 MB   | 158 ms                                    | 6.9 ms                                   |
 * | 256 kB | 175 ms                                    | 2.0 ms                                   |
 * | none   | 491 ms                                    | 1.5 ms                                   |
 */
export const shortPendingList = raw(`WITH (${limit})`);

/** The same setting for `ALTER INDEX … SET`. */
export const pendingListLimit = raw(limit);

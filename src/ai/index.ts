/**
 * Tools for the AI SDK: the memory for `generateText` and `streamText`.
 *
 * @module remdb/ai
 */
export { remTools } from "./rem-tools.ts";
export type { RemToolsOptions } from "./tool-records.ts";

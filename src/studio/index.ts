/**
 * A page that shows what is in the memory, and why it was, or was not, recalled.
 *
 * @module remdb/studio
 */
export { type NodeListener, nodeListener } from "./node-listener.ts";
export type { StudioService } from "./place.ts";
export { type StudioHandler, type StudioOptions, studio } from "./studio.ts";

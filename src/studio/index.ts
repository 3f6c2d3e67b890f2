export { type NodeListener, nodeListener } from "./node-listener.ts";
export type { StudioService } from "./place.ts";
export { type StudioHandler, type StudioOptions, studio } from "./studio.ts";

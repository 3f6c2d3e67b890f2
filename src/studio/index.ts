export { type NodeListener, nodeListener } from "./node-listener.ts";
export { type StudioHandler, type StudioOptions, studio } from "./studio.ts";
export type { StudioService } from "./studio-service.ts";

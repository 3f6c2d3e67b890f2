import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type {
	Bootstrap,
	TableModel,
} from "../../../src/studio/api/bootstrap.ts";
import type { Scope } from "../../../src/studio/api/common.ts";
import { type Params, useRoute } from "./router.ts";

/** What the page was told at its start. */
export const StudioContext = createContext<Bootstrap | undefined>(undefined);

export function useStudio(): Bootstrap {
	const studio = useContext(StudioContext);
	if (studio === undefined) throw new Error("outside of the studio");
	return studio;
}

/** Whose rows the page is about. */
export function useScope(): Scope {
	const { params } = useRoute();
	return scopeOf(useStudio(), params);
}

function scopeOf(studio: Bootstrap, params: Params): Scope {
	const { tenant, user, shared } = params;
	const tenantId = studio.tenant.isFixed ? undefined : tenant;
	const isUserFixed = studio.userId !== undefined;
	return {
		...(tenantId === undefined ? {} : { tenantId }),
		...(isUserFixed
			? {}
			: shared === "yes"
				? { userId: null }
				: user === undefined
					? {}
					: { userId: user }),
	};
}

export function tableOf(
	{ tables }: Bootstrap,
	name: string,
): TableModel | undefined {
	return tables.find((table) => table.name === name);
}

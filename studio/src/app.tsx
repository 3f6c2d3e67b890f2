import { useCallback, useEffect, useState } from "preact/hooks";
import type { Bootstrap } from "../../src/studio/api/bootstrap.ts";
import { Help } from "./components/help.tsx";
import { Icon, Logo } from "./components/icons.tsx";
import { ScopePicker } from "./components/scope-picker.tsx";
import { Empty, Loading, Problem } from "./components/states.tsx";
import { api } from "./lib/api.ts";
import { useShortcuts } from "./lib/keys.ts";
import { useLoad } from "./lib/load.ts";
import { hrefOf, type Page, pages, useRoute } from "./lib/router.ts";
import { StudioContext, useStudio } from "./lib/studio.ts";
import { useTheme } from "./lib/theme.ts";
import { ConsolePage } from "./pages/console/console.tsx";
import { EntitiesPage } from "./pages/entities/entities.tsx";
import { GraphPage } from "./pages/graph/graph.tsx";
import { HealthPage } from "./pages/health/health.tsx";
import { SearchPage } from "./pages/search/search.tsx";

const titles: Readonly<Record<Page, string>> = {
	search: "Search",
	entities: "Entities",
	graph: "Graph",
	health: "Health",
	console: "Console",
};

const contents: Readonly<Record<Page, () => preact.JSX.Element>> = {
	search: SearchPage,
	entities: EntitiesPage,
	graph: GraphPage,
	health: HealthPage,
	console: ConsolePage,
};

export function App() {
	const { page } = useRoute();
	const [isHelpOpen, setHelpOpen] = useState(false);
	const openHelp = useCallback(() => setHelpOpen(true), []);
	useShortcuts(openHelp);
	const studio = useLoad("bootstrap", (_, signal) => api.bootstrap(signal));
	useEffect(() => {
		document.title = `${titles[page]} · rem studio`;
	}, [page]);
	return (
		<StudioContext.Provider value={studio.value}>
			<div class="shell">
				<button type="button" class="skip" onClick={skipToMain}>
					Skip to the content
				</button>
				<Side page={page} studio={studio.value} openHelp={openHelp} />
				<main id="main" tabIndex={-1}>
					{studio.failure !== undefined ? (
						studio.failure.status === 401 ? (
							<NoAccess />
						) : (
							<Problem failure={studio.failure} retry={studio.reload} />
						)
					) : null}
					{studio.value === undefined ? (
						studio.isLoading ? (
							<Loading label="Opening the studio" />
						) : null
					) : (
						<Content page={page} />
					)}
				</main>
				{isHelpOpen ? <Help close={() => setHelpOpen(false)} /> : null}
			</div>
		</StudioContext.Provider>
	);
}

/** A button, since the address's fragment is the page's state. */
function skipToMain(): void {
	document.getElementById("main")?.focus();
}

function Content({ page }: { readonly page: Page }) {
	const studio = useStudio();
	const { params } = useRoute();
	const Page = contents[page];
	if (page !== "health" && studio.tenant.id === null && !params.tenant)
		return (
			<Empty title="Which tenant?">
				<p>
					There is no default tenant. Choose one with “Change” beside Tenant, or
					start the studio with <code>--tenant NAME</code>.
				</p>
			</Empty>
		);
	return <Page key={page} />;
}

function NoAccess() {
	return (
		<Empty title="This address has no key">
			<p>
				Open the address that <code>rem studio</code> printed when it started:
				it has a key, which is valid until the studio ends.
			</p>
		</Empty>
	);
}

function Side({
	page,
	studio,
	openHelp,
}: {
	readonly page: Page;
	readonly studio: Bootstrap | undefined;
	readonly openHelp: () => void;
}) {
	const [theme, nextTheme] = useTheme();
	return (
		<header class="side">
			<a class="brand" href={hrefOf("search")}>
				<Logo />
				<span>rem studio</span>
			</a>
			<nav aria-label="Pages">
				{pages.map((name) => (
					<a
						key={name}
						href={hrefOf(name)}
						aria-current={name === page ? "page" : undefined}
					>
						<Icon name={name} />
						{titles[name]}
					</a>
				))}
			</nav>
			{studio === undefined ? null : <ScopePicker />}
			<div class="side-tools">
				<button
					type="button"
					class="icon"
					onClick={nextTheme}
					aria-label={`Colours: ${theme}`}
					title={`Colours: ${theme}`}
				>
					<Icon name={theme} />
				</button>
				<button
					type="button"
					class="icon"
					onClick={openHelp}
					aria-label="Keyboard"
					title="Keyboard (?)"
				>
					<Icon name="help" />
				</button>
				{studio === undefined ? null : (
					<span
						class={studio.writable ? "badge warn" : "badge"}
						title={studio.writeHint}
					>
						{studio.writable ? "can write" : "read-only"}
					</span>
				)}
			</div>
			{studio === undefined ? null : (
				<p class="about muted">
					remdb {studio.version}
					<br />
					{studio.database.kind === "embedded" ? "embedded database" : "server"}
				</p>
			)}
		</header>
	);
}

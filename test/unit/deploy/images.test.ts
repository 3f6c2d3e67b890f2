import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import {
	deployFolder,
	documents,
	ofKind,
} from "../../support/deploy/manifests.ts";

// Images and versions, wherever they are named: pinned, and the same everywhere.

const root = fileURLToPath(new URL("../../..", import.meta.url));

function filesOf(path: string): string[] {
	const whole = join(root, path);
	if (!statSync(whole).isDirectory()) return [path];
	return readdirSync(whole).flatMap((name) => filesOf(join(path, name)));
}

const files = [
	"deploy",
	"docs",
	"scripts",
	"src/db",
	".ci",
	"README.md",
	"CONTRIBUTING.md",
]
	.flatMap(filesOf)
	.map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));

interface Named {
	readonly path: string;
	readonly image: string;
}

const pattern =
	/(?<![\w./-])((?:ghcr\.io\/|docker\.io\/)?(?:cloudnative-pg|pgvector|kindest|citusdata)\/[\w.-]+|node|postgres|remdb-app|remdb-citus):([\w.$-]*[\w}])/g;

/** Every image with its tag; those of prose in `code` too. */
const images: readonly Named[] = files.flatMap(({ path, text }) =>
	[...text.replace(/\$\{MAJOR\}/g, "18").matchAll(pattern)].flatMap(
		([image, , tag = ""]) =>
			// `node:fs` and `node:fs/promises` are modules, `postgres:5432` an address.
			/^(node:[a-z]|postgres:\d{4,})/.test(image) || tag === ""
				? []
				: [{ path, image }],
	),
);

test("images are found in manifests, compose, the Dockerfile, scripts and docs", () => {
	const found = new Set(images.map(({ path }) => path));
	for (const path of [
		"deploy/Dockerfile",
		"deploy/compose.yaml",
		"deploy/cloudnativepg/base/10-cluster.yaml",
		"deploy/cloudnativepg/base/80-migrate-job.yaml",
		"deploy/cloudnativepg/overlays/local/kind.yaml",
		"docs/errors.md",
		"scripts/postgres-server/installation.ts",
		"README.md",
	])
		expect(found).toContain(path);
});

test("every image is pinned to a version with all its parts", () => {
	for (const { path, image } of images)
		expect(image, path).toMatch(/:v?\d+\.\d+(\.\d+)?(-[\w.-]+)?$/);
	expect(images.filter(({ image }) => /:latest\b/.test(image))).toEqual([]);
});

test("every image of a service or pod is one that is looked at here", () => {
	const used = files
		.filter(({ path }) => /^deploy\/.*\.yaml$/.test(path))
		.flatMap(({ path, text }) =>
			[...text.matchAll(/^\s*-?\s*(?:image|reference): ?(\S+)$/gm)].map(
				([, image = ""]) => ({ path, image }),
			),
		)
		// kustomize gives it its tag.
		.filter(({ image }) => image !== "remdb-app");
	expect(used.length).toBeGreaterThan(5);
	for (const one of used) expect(images).toContainEqual(one);
});

test("pgvector has one version everywhere", () => {
	const versions = [
		...images.flatMap(
			({ image }) => image.match(/pgvector:([\d.]+)/)?.[1] ?? [],
		),
		...ofKind("Database").flatMap(({ body }) =>
			body.spec.extensions.flatMap(
				({ name, version }: { name: string; version?: string }) =>
					name === "vector" ? version : [],
			),
		),
		// With which the figures of the docs were measured.
		...files.flatMap(({ path, text }) =>
			path.startsWith("docs")
				? [...text.matchAll(/pgvector (\d+\.\d+\.\d+)/g)].map(([, at]) => at)
				: [],
		),
	];
	expect(versions.length).toBeGreaterThan(8);
	expect([...new Set(versions)]).toEqual(["0.8.7"]);
});

test("PostgreSQL of the cluster has one version", () => {
	const versions = images.flatMap(
		({ image }) => image.match(/cloudnative-pg\/postgresql:(.+)$/)?.[1] ?? [],
	);
	expect(new Set(versions).size).toBe(1);
});

const [compose] = documents(
	readFileSync(join(deployFolder, "compose.yaml"), "utf8").replace(
		/^/,
		"%YAML 1.1\n---\n",
	),
);

test("every service of compose has limits of memory, processors and processes", () => {
	const services = Object.entries<Record<string, unknown>>(compose.services);
	expect(services.length).toBeGreaterThan(5);
	for (const [name, service] of services)
		expect(service.deploy, name).toMatchObject({
			resources: {
				limits: {
					cpus: expect.any(String),
					memory: expect.stringMatching(/^\d+[MG]$/),
					pids: expect.any(Number),
				},
			},
		});
});

test("the application of compose has a role of its own, and no service of ours is a superuser", () => {
	const { db, app, worker, migrate } = compose.services;
	const superuser = db.environment.POSTGRES_USER;
	expect(app.environment.POSTGRES__USER).toBe("rem_app");
	for (const { environment } of [worker, migrate])
		expect(environment.POSTGRES__USER).toBe("rem_owner");
	expect(["rem_app", "rem_owner"]).not.toContain(superuser);
	expect(app.depends_on).toHaveProperty("grants");
});

test("every deployment is spread over nodes and has a disruption budget", () => {
	const budgets = ofKind("PodDisruptionBudget").map(
		({ body }) => body.spec.selector.matchLabels,
	);
	for (const { body } of ofKind("Deployment")) {
		const { name } = body.metadata;
		const labels = { "app.kubernetes.io/name": name };
		expect(budgets, name).toContainEqual(labels);
		expect(body.spec.template.spec.topologySpreadConstraints, name).toEqual([
			expect.objectContaining({
				topologyKey: "kubernetes.io/hostname",
				labelSelector: { matchLabels: labels },
			}),
		]);
	}
});

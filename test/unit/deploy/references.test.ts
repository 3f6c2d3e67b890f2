import { expect, test } from "vitest";
import { environmentSchema } from "../../../src/config.ts";
import {
	documents,
	folders,
	type Manifest,
	manifests,
	ofKind,
	textOf,
} from "../../support/deploy/manifests.ts";

// What no schema checks: that the manifests name each other rightly.

// biome-ignore lint/suspicious/noExplicitAny: parts of YAML
type Yaml = any;

const nameOf = ({ body }: Manifest): string => body.metadata?.name;
const named = (kind: string) => ofKind(kind).map(nameOf);
const one = (kind: string) => ofKind(kind)[0]?.body as Yaml;

const configMap = (name: string): Yaml =>
	ofKind("ConfigMap").find((manifest) => nameOf(manifest) === name)?.body.data;

/** The pods that Deployments and Jobs make. */
const pods = [...ofKind("Deployment"), ...ofKind("Job")].map(({ body }) => ({
	name: body.metadata.name as string,
	labels: body.spec.template.metadata.labels as Record<string, string>,
	spec: body.spec.template.spec as Yaml,
	containers: [
		...(body.spec.template.spec.initContainers ?? []),
		...body.spec.template.spec.containers,
	] as Yaml[],
}));

/** Every value that stands under a key, however deep. */
function valuesOf(value: Yaml, key: string): Yaml[] {
	if (typeof value !== "object" || value === null) return [];
	return Object.entries(value).flatMap(([name, inner]) => [
		...(name === key ? [inner] : []),
		...valuesOf(inner, key),
	]);
}

test.each(folders)("%s: kustomize knows every file", (folder) => {
	const files = manifests
		.filter((manifest) => manifest.folder === folder)
		.map(({ file }) => file)
		.filter((file) => !["kustomization.yaml", "kind.yaml"].includes(file));
	const [{ resources, patches = [] }] = documents(
		textOf(`${folder}/kustomization.yaml`),
	);
	const listed = [
		...resources.filter((path: string) => !path.startsWith("..")),
		...patches.map(({ path }: { path: string }) => path),
	];
	expect([...new Set(files)].sort()).toEqual(listed.sort());
});

test("what belongs to a cluster names it", () => {
	for (const kind of ["Database", "DatabaseRole", "Pooler", "ScheduledBackup"])
		for (const { body } of ofKind(kind))
			expect(body.spec.cluster.name).toBe("rem-db");
	expect(named("Cluster")).toContain("rem-db");
});

test("the owner of the database is the same everywhere", () => {
	const { database, owner, secret } = one("Cluster").spec.bootstrap.initdb;
	expect(one("Database").spec).toMatchObject({ name: database, owner });
	expect(secret.name).toBe("rem-db-owner");
});

test("every secret is generated for kind, and described for production", () => {
	const used = new Set<string>([
		...manifests.flatMap(({ body }) =>
			["secretKeyRef", "passwordSecret"].flatMap((key) =>
				valuesOf(body, key).map(({ name }) => name),
			),
		),
		"rem-db-owner",
	]);
	const [{ secretGenerator }] = documents(
		textOf("overlays/local/kustomization.yaml"),
	);
	const generated = secretGenerator.map(({ name }: Yaml) => name);
	expect([...used].sort()).toEqual(generated.sort());
	const guide = textOf("README.md");
	for (const name of [...used, "rem-db-store"])
		expect(guide).toContain(`secret generic ${name} `);
});

test("every ConfigMap that is used is there, with the key", () => {
	const [{ configMapGenerator }] = documents(textOf("base/kustomization.yaml"));
	const there = [
		...named("ConfigMap"),
		...configMapGenerator.map(({ name }: Yaml) => name),
	];
	const used = manifests.flatMap(({ body }) =>
		["configMapRef", "customQueriesConfigMap", "configMap"].flatMap((key) =>
			valuesOf(body, key).flat(),
		),
	);
	for (const { name, key } of used) {
		expect(there).toContain(name);
		if (key !== undefined)
			expect(ofKind("ConfigMap").some(({ body }) => key in body.data)).toBe(
				true,
			);
	}
	expect(used.length).toBeGreaterThan(4);
});

test("only variables that exist are set", () => {
	const known = new Set(Object.keys(environmentSchema.shape));
	const set = [
		...Object.keys(configMap("rem-settings")),
		...manifests.flatMap(({ body }) =>
			valuesOf(body, "env")
				.flat()
				.filter(
					({ name }: Yaml) =>
						!/^PG(HOST|USER|PASSWORD|DATABASE|SSLMODE|SSLROOTCERT)$/.test(name),
				)
				.map(({ name }: Yaml) => name),
		),
	];
	expect(set.filter((name) => !known.has(name))).toEqual([]);
});

test("every client checks the certificate against the cluster's own authority", () => {
	const { POSTGRES__SSLMODE, POSTGRES__SSLROOTCERT } =
		configMap("rem-settings");
	expect(POSTGRES__SSLMODE).toBe("verify-full");
	expect(pods.length).toBeGreaterThan(2);
	for (const { spec, containers } of pods) {
		const [volume] = valuesOf(spec.volumes, "secret");
		expect(volume).toEqual({
			secretName: "rem-db-ca",
			items: [{ key: "ca.crt", path: "ca.crt" }],
		});
		for (const { volumeMounts } of containers)
			expect(volumeMounts).toContainEqual({
				name: "ca",
				mountPath: POSTGRES__SSLROOTCERT.replace("/ca.crt", ""),
				readOnly: true,
			});
	}
});

test("hosts are services of the cluster and its poolers, and in the certificate", () => {
	const poolers = named("Pooler");
	const hosts = manifests.flatMap(({ body }) =>
		valuesOf(body, "env")
			.flat()
			.filter(({ name }: Yaml) => /HOST$/.test(name))
			.map(({ value }: Yaml) => value),
	);
	expect([...new Set(hosts)].sort()).toEqual(["rem-db-rw", ...poolers].sort());
	const { namespace } = documents(textOf("base/kustomization.yaml"))[0];
	expect(one("Cluster").spec.certificates.serverAltDNSNames).toEqual(
		poolers
			.toSorted((a, b) => b.localeCompare(a))
			.flatMap((name) => [
				name,
				`${name}.${namespace}`,
				`${name}.${namespace}.svc`,
			]),
	);
});

test("selectors find the pods they are for", () => {
	for (const { body } of ofKind("Deployment"))
		expect(body.spec.template.metadata.labels).toMatchObject(
			body.spec.selector.matchLabels,
		);
	const labels = pods.map((pod) => pod.labels["app.kubernetes.io/name"]);
	const selected = manifests.flatMap(({ body }) => [
		...valuesOf(body, "matchLabels").map(
			(match: Yaml) => match["app.kubernetes.io/name"],
		),
		...valuesOf(body, "matchExpressions")
			.flat()
			.filter(({ key }: Yaml) => key === "app.kubernetes.io/name")
			.flatMap(({ values }: Yaml) => values),
		body.kind === "Service"
			? body.spec.selector["app.kubernetes.io/name"]
			: undefined,
	]);
	for (const name of selected.filter((name) => name !== undefined))
		expect(labels).toContain(name);
	const poolers = manifests.flatMap(({ body }) =>
		valuesOf(body, "matchLabels").map(
			(match: Yaml) => match["cnpg.io/poolerName"],
		),
	);
	for (const name of poolers.filter((name) => name !== undefined))
		expect(named("Pooler")).toContain(name);
});

test("probes and services name existing ports; both pods answer both probes", () => {
	for (const { containers } of pods)
		for (const { ports = [], livenessProbe, readinessProbe } of containers) {
			if (ports.length === 0) continue;
			const portNames = ports.map(({ name }: Yaml) => name);
			expect(livenessProbe.httpGet.path).toBe("/livez");
			expect(readinessProbe.httpGet.path).toBe("/readyz");
			expect(portNames).toContain(livenessProbe.httpGet.port);
			expect(portNames).toContain(readinessProbe.httpGet.port);
		}
	expect(one("Service").spec.ports[0].targetPort).toBe("http");
});

test("pods run confined, as the namespace demands", () => {
	expect(one("Namespace").metadata.labels).toMatchObject({
		"pod-security.kubernetes.io/enforce": "restricted",
	});
	expect(pods.length).toBe(3);
	for (const { spec, containers } of pods) {
		expect(spec.automountServiceAccountToken).toBe(false);
		expect(spec.securityContext).toEqual({
			runAsNonRoot: true,
			seccompProfile: { type: "RuntimeDefault" },
		});
		for (const { securityContext, resources } of containers) {
			expect(securityContext).toEqual({
				allowPrivilegeEscalation: false,
				readOnlyRootFilesystem: true,
				capabilities: { drop: ["ALL"] },
			});
			expect(resources).toMatchObject({
				requests: { cpu: expect.any(String), memory: expect.any(String) },
				limits: { memory: expect.any(String) },
			});
		}
	}
});

test("of the authority's secret only the certificate is mounted", () => {
	for (const { spec } of pods)
		expect(spec.volumes).toContainEqual({
			name: "ca",
			secret: {
				secretName: "rem-db-ca",
				items: [{ key: "ca.crt", path: "ca.crt" }],
			},
		});
});

test("images are pinned, and the catalog's is the one psql comes from", () => {
	const images = manifests.flatMap(({ body }) => [
		...valuesOf(body, "image").flatMap((image: Yaml) =>
			typeof image === "string" ? image : image.reference,
		),
	]);
	for (const image of images)
		expect(image).toMatch(/^remdb-app$|:[\d.]+|:v1\.35/);
	const [{ image }] = one("ImageCatalog").spec.images;
	const [{ containers }] = pods.filter(
		({ name }) => name === "rem-migrate",
	) as [Yaml];
	expect(containers[1].image).toBe(image);
});

test("shared memory is large enough for the graph of a parallel index build", () => {
	for (const { body } of manifests) {
		const memory = body.spec?.postgresql?.parameters?.maintenance_work_mem;
		if (memory === undefined) continue;
		const { shm } = body.spec.ephemeralVolumesSizeLimit;
		expect(bytes(shm)).toBeGreaterThanOrEqual(bytes(memory));
		const limit = body.spec.resources.limits.memory;
		const { shared_buffers } = body.spec.postgresql.parameters;
		expect(bytes(limit)).toBeGreaterThanOrEqual(
			bytes(shared_buffers) + bytes(shm),
		);
	}
});

function bytes(text: string): number {
	const [, number, unit] = text.match(/^(\d+)([KMG])i?B?$/) as Yaml;
	return Number(number) * 1024 ** (" KMG".indexOf(unit) as number);
}

test("the server has connections for all who may come at once", () => {
	const { max_connections } = one("Cluster").spec.postgresql.parameters;
	const pooler = ofKind("Pooler").find(({ body }) => body.spec.type === "rw");
	const pooled =
		pooler?.body.spec.instances *
		Number(pooler?.body.spec.pgbouncer.parameters.default_pool_size);
	const worker = ofKind("Deployment").find(
		(manifest) => nameOf(manifest) === "rem-worker",
	)?.body.spec;
	const [poolSize] = worker.template.spec.containers[0].env
		.filter(({ name }: Yaml) => name === "POSTGRES__POOL_SIZE")
		.map(({ value }: Yaml) => Number(value));
	// Besides its pool a worker has sessions for index builds and for LISTEN.
	const direct = worker.replicas * (poolSize + 5);
	expect(pooled + direct + 20).toBeLessThan(Number(max_connections));
	expect(pooled).toBeLessThanOrEqual(one("DatabaseRole").spec.connectionLimit);
});

test("alerts look at metrics that are exported", () => {
	const { queries } = configMap("rem-queries");
	const exported = Object.entries<Yaml>(documents(queries)[0]).flatMap(
		([query, { metrics }]) =>
			metrics.map((metric: Yaml) => `cnpg_${query}_${Object.keys(metric)[0]}`),
	);
	const rules = one("PrometheusRule").spec.groups[0].rules as Yaml[];
	const used = rules.flatMap(({ expr }) => expr.match(/cnpg_rem_\w+/g) ?? []);
	expect(used.filter((metric) => !exported.includes(metric))).toEqual([]);
	expect(used.length).toBe(4);
});

import type { ResourceRequirements } from "kubernetes-types/core/v1.js";
import type { LabelSelector, ObjectMeta } from "kubernetes-types/meta/v1.js";

// What our manifests use of kinds that have no published types.

/** A patch: any part of it; `null` removes. */
export type Part<T> =
	| null
	| (T extends readonly (infer Item)[]
			? Part<Item>[]
			: T extends object
				? { [Key in keyof T]?: Part<T[Key]> }
				: T);

interface SecretKey {
	name: string;
	key: string;
}

/** https://cloudnative-pg.io/plugin-barman-cloud/docs/plugin-barman-cloud.v1/ */
export interface ObjectStore {
	apiVersion: "barmancloud.cnpg.io/v1";
	kind: "ObjectStore";
	metadata: ObjectMeta;
	spec: {
		retentionPolicy?: string;
		configuration: {
			destinationPath: string;
			endpointURL?: string;
			s3Credentials?: { accessKeyId: SecretKey; secretAccessKey: SecretKey };
			wal?: { compression?: "gzip" | "lz4" | "zstd"; maxParallel?: number };
			data?: { compression?: "gzip" | "lz4" | "zstd"; jobs?: number };
		};
		instanceSidecarConfiguration?: { resources?: ResourceRequirements };
	};
}

/** https://prometheus-operator.dev/docs/api-reference/api/ */
export interface PodMonitor {
	apiVersion: "monitoring.coreos.com/v1";
	kind: "PodMonitor";
	metadata: ObjectMeta;
	spec: {
		selector: LabelSelector;
		podMetricsEndpoints: { port: string; interval?: string }[];
	};
}

export interface PrometheusRule {
	apiVersion: "monitoring.coreos.com/v1";
	kind: "PrometheusRule";
	metadata: ObjectMeta;
	spec: {
		groups: {
			name: string;
			rules: {
				alert: string;
				expr: string;
				for: string;
				labels: { severity: "info" | "warning" | "critical" };
				annotations: { summary: string; description: string };
			}[];
		}[];
	};
}

interface Generator {
	name: string;
	type?: string;
	files?: string[];
	literals?: string[];
}

/** https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/ */
export interface Kustomization {
	apiVersion: "kustomize.config.k8s.io/v1beta1";
	kind: "Kustomization";
	namespace: string;
	resources: string[];
	patches?: { path: string }[];
	configMapGenerator?: Generator[];
	secretGenerator?: Generator[];
	generatorOptions?: {
		disableNameSuffixHash?: boolean;
		labels?: Record<string, string>;
	};
	images?: { name: string; newName?: string; newTag?: string }[];
}

/** https://kind.sigs.k8s.io/docs/user/configuration/ */
export interface Cluster {
	apiVersion: "kind.x-k8s.io/v1alpha4";
	kind: "Cluster";
	name: string;
	nodes: { role: "control-plane" | "worker"; image: string }[];
}

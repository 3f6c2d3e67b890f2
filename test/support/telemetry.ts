import { context, metrics, trace } from "@opentelemetry/api";
import {
	AggregationTemporality,
	InMemoryMetricExporter,
	MeterProvider,
	PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
	InMemorySpanExporter,
	NodeTracerProvider,
	type ReadableSpan,
	SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-node";
import { afterAll } from "vitest";

/** A figure of a metric: what it is about, and how much. */
export interface Point {
	readonly metric: string;
	readonly attributes: Readonly<Record<string, unknown>>;
	readonly value: unknown;
}

/** OpenTelemetry's own SDK, in memory, for the tests of a file. */
export function useTelemetry() {
	const spanExporter = new InMemorySpanExporter();
	const metricExporter = new InMemoryMetricExporter(
		AggregationTemporality.CUMULATIVE,
	);
	const reader = new PeriodicExportingMetricReader({
		exporter: metricExporter,
		exportIntervalMillis: 3_600_000,
	});
	new NodeTracerProvider({
		spanProcessors: [new SimpleSpanProcessor(spanExporter)],
	}).register();
	metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
	afterAll(() => {
		trace.disable();
		metrics.disable();
		context.disable();
	});
	return {
		spans: (): readonly ReadableSpan[] => spanExporter.getFinishedSpans(),
		forgetSpans: () => spanExporter.reset(),
		/** Every figure, collected now. */
		async points(): Promise<Point[]> {
			metricExporter.reset();
			await reader.forceFlush();
			return metricExporter
				.getMetrics()
				.flatMap(({ scopeMetrics }) => scopeMetrics)
				.flatMap((scope) => scope.metrics)
				.flatMap(({ descriptor, dataPoints }) =>
					dataPoints.map(({ attributes, value }) => ({
						metric: descriptor.name,
						attributes,
						value,
					})),
				);
		},
	};
}

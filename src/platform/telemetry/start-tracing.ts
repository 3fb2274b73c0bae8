import type { AppConfig } from '../../config/app-config.js';

/**
 * Sends spans by OTLP over HTTP. The SDK is loaded here and only where an address is set: it costs memory and time to start. Called before the
 * application is made; what it returns sends the last spans.
 */
export async function startTracing(config: AppConfig): Promise<() => Promise<void>> {
  if (config.otelEndpoint === null) return () => Promise.resolve();
  const [{ NodeSDK }, { OTLPTraceExporter }] = await Promise.all([import('@opentelemetry/sdk-node'), import('@opentelemetry/exporter-trace-otlp-http')]);
  const sdk = new NodeSDK({
    serviceName: 'holdfast',
    traceExporter: new OTLPTraceExporter({ url: `${config.otelEndpoint}/v1/traces`, timeoutMillis: 5_000 }),
    // The host's name and the arguments of the process are nobody's business.
    autoDetectResources: false,
    textMapPropagator: null,
    metricReaders: [],
    logRecordProcessors: [],
  });
  sdk.start();
  return () => sdk.shutdown();
}

import { randomBytes } from 'node:crypto';
import { type Context, isSpanContextValid, ROOT_CONTEXT, type Span, trace, TraceFlags } from '@opentelemetry/api';
import { logFields } from './log-context.js';

const pattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** Of the W3C header `traceparent`; nothing is believed of another form. */
export function parentContext(traceParent: string | null | undefined): Context {
  const [, traceId = '', spanId = '', flags = ''] = pattern.exec(traceParent ?? '') ?? [];
  const parent = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
  return isSpanContextValid(parent) ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
}

/** Without tracing a span has the id of the trace that it belongs to, if there is one. */
export function traceIdOf(span: Span): string {
  const { traceId } = span.spanContext();
  return isSpanContextValid(span.spanContext()) ? traceId : randomBytes(16).toString('hex');
}

/** What leads from work that is started now to the request that started it; null outside of any. */
export function currentTraceParent(): string | null {
  const { traceId } = logFields();
  if (traceId === undefined) return null;
  const active = trace.getActiveSpan()?.spanContext();
  const spanId = active !== undefined && isSpanContextValid(active) ? active.spanId : randomBytes(8).toString('hex');
  return `00-${traceId}-${spanId}-01`;
}

import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { RequestHandler } from 'express';
import { withLogFields } from './log-context.js';
import { parentContext, traceIdOf } from './trace-context.js';

/** Gives each request the id of its trace and a span. The rest of a path and the query hold tokens and ids: only the first part of a path is told. */
export function traceRequests(): RequestHandler {
  const tracer = trace.getTracer('holdfast');
  return (request, response, next) => {
    const route = `/${request.path.split('/')[1] ?? ''}`;
    const parent = parentContext(request.get('traceparent'));
    const span = tracer.startSpan(`${request.method} ${route}`, { kind: SpanKind.SERVER, attributes: { 'http.request.method': request.method, 'http.route': route } }, parent);
    response.once('close', () => {
      span.setAttribute('http.response.status_code', response.statusCode);
      if (response.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    });
    withLogFields({ traceId: traceIdOf(span) }, () => context.with(trace.setSpan(parent, span), next));
  };
}

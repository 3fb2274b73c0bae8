import { context, type Context, type Span, SpanStatusCode, trace } from '@opentelemetry/api';
import { withLogFields } from '../platform/telemetry/log-context.js';
import { parentContext, traceIdOf } from '../platform/telemetry/trace-context.js';
import type { OperationMetrics } from './operation-metrics.js';
import type { OperationEntity } from './operation.entity.js';

interface Phase {
  readonly name: string;
  readonly startedAtMs: number;
  readonly span: Span;
}

/** What logs, metrics and traces are told of one operation while this process works on it. */
export class OperationTrack {
  private readonly tracer = trace.getTracer('holdfast');
  private readonly startedAtMs = performance.now();
  private readonly span: Span;
  private readonly within: Context;
  private phase: Phase | null = null;

  constructor(
    private readonly operation: Pick<OperationEntity, 'id' | 'tenantId' | 'kind' | 'traceParent'>,
    private readonly metrics: OperationMetrics | null,
  ) {
    const parent = parentContext(operation.traceParent);
    const attributes = { 'holdfast.operation.id': operation.id, 'holdfast.operation.kind': operation.kind, 'holdfast.tenant.id': operation.tenantId };
    this.span = this.tracer.startSpan(`operation ${operation.kind}`, { attributes }, parent);
    this.within = trace.setSpan(parent, this.span);
  }

  /** Every line that is logged in `work` carries the ids of the operation and of its trace. */
  async follow(work: () => Promise<void>): Promise<void> {
    const { id, tenantId, kind } = this.operation;
    try {
      await withLogFields({ traceId: traceIdOf(this.span), operationId: id, tenantId, kind }, () => context.with(this.within, work));
    } finally {
      this.phase?.span.end();
      this.span.end();
    }
  }

  recovering(): void {
    this.metrics?.recoveries.inc({ kind: this.operation.kind });
    this.span.setAttribute('holdfast.recovery', true);
  }

  /** @param bytesDone of the phase that ends now */
  enter(name: string, bytesDone: number): void {
    if (this.phase?.name === name) return;
    this.leave(bytesDone);
    this.phase = { name, startedAtMs: performance.now(), span: this.tracer.startSpan(name, { attributes: { 'holdfast.operation.kind': this.operation.kind } }, this.within) };
  }

  ended(state: string, code: string | null, bytesDone: number): void {
    const { kind } = this.operation;
    this.leave(bytesDone);
    this.metrics?.ended.inc({ kind, state, code: code ?? '' });
    this.metrics?.seconds.observe({ kind, state }, (performance.now() - this.startedAtMs) / 1000);
    this.span.setAttribute('holdfast.operation.state', state);
    if (state === 'FAILED') this.span.setStatus({ code: SpanStatusCode.ERROR, message: code ?? '' });
  }

  leaseLost(): void {
    this.metrics?.leasesLost.inc({ kind: this.operation.kind });
    this.span.setStatus({ code: SpanStatusCode.ERROR, message: 'LEASE_LOST' });
  }

  private leave(bytesDone: number): void {
    if (this.phase === null) return;
    const labels = { kind: this.operation.kind, phase: this.phase.name };
    this.metrics?.phaseSeconds.observe(labels, (performance.now() - this.phase.startedAtMs) / 1000);
    this.metrics?.bytes.inc(labels, bytesDone);
    this.phase.span.setAttribute('holdfast.bytes', bytesDone);
    this.phase.span.end();
    this.phase = null;
  }
}

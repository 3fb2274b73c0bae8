import type { WorkProgress } from '#engines';
import type { OperationProgress } from './operation.entity.js';

const nothingYet: WorkProgress = { bytesDone: 0, bytesTotal: null, itemsDone: 0, itemsTotal: null, current: null };

/** An estimate from less than this is no estimate. */
const leastForEta = { elapsedMs: 2_000, percent: 2 };

/**
 * Turns the progress of phases into that of the operation. The percent only grows, is null until something is known, and 100 is left
 * to the COMPLETED operation.
 */
export class ProgressMeter {
  private readonly total: number;
  private phase: string | null = null;
  private latest = nothingYet;
  private percent: number | null;

  constructor(
    private readonly phases: readonly string[],
    private readonly weights: Readonly<Record<string, number>>,
    before: OperationProgress,
    private readonly startedAtMs: number,
  ) {
    this.total = phases.reduce((sum, phase) => sum + this.weightOf(phase), 0);
    this.percent = before.percent;
  }

  enter(phase: string): void {
    if (this.phase === phase) return;
    this.phase = phase;
    this.latest = nothingYet;
    this.raise();
  }

  report(progress: WorkProgress): void {
    this.latest = progress;
    this.raise();
  }

  snapshot(nowMs: number): OperationProgress {
    const { bytesDone, bytesTotal, itemsDone, itemsTotal, current } = this.latest;
    return { percent: this.percent, bytesDone, bytesTotal, itemsDone, itemsTotal, current, etaMs: this.eta(nowMs) };
  }

  private raise(): void {
    const at = this.phase === null ? -1 : this.phases.indexOf(this.phase);
    if (at < 0 || this.total <= 0) return;
    const fraction = fractionOf(this.latest);
    if (fraction === null && at === 0) return;
    const before = this.phases.slice(0, at).reduce((sum, phase) => sum + this.weightOf(phase), 0);
    const percent = ((before + this.weightOf(this.phases[at] ?? '') * (fraction ?? 0)) / this.total) * 100;
    this.percent = Math.max(this.percent ?? 0, Math.min(99.9, Math.round(percent * 10) / 10));
  }

  private eta(nowMs: number): number | null {
    const elapsedMs = nowMs - this.startedAtMs;
    if (this.percent === null || this.percent < leastForEta.percent || elapsedMs < leastForEta.elapsedMs) return null;
    return Math.round((elapsedMs * (100 - this.percent)) / this.percent);
  }

  private weightOf(phase: string): number {
    return this.weights[phase] ?? 1;
  }
}

/** Bytes tell more than items; totals that turn out too small never take it past the whole. */
function fractionOf({ bytesDone, bytesTotal, itemsDone, itemsTotal }: WorkProgress): number | null {
  if (bytesTotal !== null && bytesTotal > 0) return Math.min(1, Math.max(0, bytesDone / bytesTotal));
  if (itemsTotal !== null && itemsTotal > 0) return Math.min(1, Math.max(0, itemsDone / itemsTotal));
  return null;
}

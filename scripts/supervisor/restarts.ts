const firstMs = 500;
const mostMs = 30_000;
const forgetAfterMs = 60_000;

export interface RestartsPlan {
  readonly name: string;
  readonly logFile: string;
  readonly say: (line: string) => void;
}

/** Starts again what crashed: soon at first, then ever more slowly, until it has run for a minute. */
export class Restarts {
  private readonly plan: RestartsPlan;
  private delayMs = firstMs;
  private timer: NodeJS.Timeout | null = null;
  private stopped = false;

  constructor(plan: RestartsPlan) {
    this.plan = plan;
  }

  get areStopped(): boolean {
    return this.stopped;
  }

  /** @param how what became of it, for people */
  later(how: string, ranForMs: number, start: () => void): void {
    if (this.stopped) return;
    if (ranForMs > forgetAfterMs) this.delayMs = firstMs;
    this.plan.say(`The ${this.plan.name} ${how}; it is started again in ${this.delayMs / 1000} s (log: ${this.plan.logFile})`);
    this.timer = setTimeout(start, this.delayMs);
    this.delayMs = Math.min(this.delayMs * 2, mostMs);
  }

  stop(): void {
    this.stopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
  }
}

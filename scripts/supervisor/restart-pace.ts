const firstMs = 500;
const mostMs = 30_000;
const forgetAfterMs = 60_000;

/** How long to wait before something that crashed is started again: soon at first, then ever longer, until it has run for a minute. */
export class RestartPace {
  private delayMs = firstMs;

  next(ranForMs: number): number {
    if (ranForMs > forgetAfterMs) this.delayMs = firstMs;
    const delayMs = this.delayMs;
    this.delayMs = Math.min(delayMs * 2, mostMs);
    return delayMs;
  }
}

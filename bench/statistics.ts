export interface Spread {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

/** Throws RangeError when there is nothing to sum up. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const [lowest] = sorted;
  const highest = sorted.at(-1);
  if (lowest === undefined || highest === undefined) throw new RangeError('A median needs a value');
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? highest;
  const median = Number.isInteger(middle) ? (upper + (sorted[middle - 1] ?? upper)) / 2 : upper;
  return { median, lowest, highest };
}

/** The 95th percentile; 0 where there is no value. */
export function p95Of(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.95)] ?? 0;
}

/** How many times as fast as `theirs` each round of `ours` was; rounds that either side lacks are left out. */
export function ratiosOf(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.slice(0, theirs.length).map((own, round) => (theirs[round] ?? own) / own);
}

const least = 3;

/**
 * Whether a backup has less than half or more than twice the median of the ones before it; fewer than three say nothing.
 *
 * @returns the median if it is unusual, else null
 */
export function unusualFrom(sizeBytes: number, earlier: readonly number[]): number | null {
  if (earlier.length < least) return null;
  const sorted = earlier.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  const median = sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2;
  return sizeBytes < median * 0.5 || sizeBytes > median * 2 ? median : null;
}

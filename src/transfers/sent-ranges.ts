/** Start included, end excluded. */
export type SentRange = readonly [start: number, end: number];

// A download manager needs a few; what is forgotten would only have to be sent again before the link is spent.
const mostRanges = 256;

/** Adds a range to ranges that are merged and in order. */
export function addRange(ranges: readonly SentRange[], added: SentRange): SentRange[] {
  const sorted = [...ranges, added].filter(([start, end]) => end > start).sort(([a], [b]) => a - b);
  const merged: SentRange[] = [];
  for (const [start, end] of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && start <= last[1]) merged[merged.length - 1] = [last[0], Math.max(last[1], end)];
    else merged.push([start, end]);
  }
  return merged.slice(0, mostRanges);
}

export function coversWhole(ranges: readonly SentRange[], sizeBytes: number): boolean {
  const [first] = ranges;
  return sizeBytes === 0 || (ranges.length === 1 && first?.[0] === 0 && first[1] >= sizeBytes);
}

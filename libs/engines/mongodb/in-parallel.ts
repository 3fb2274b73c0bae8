/** Maps `items` with at most `limit` calls running, in order of `items`; the first failure ends it once running calls have settled. */
export async function inParallel<T, R>(items: readonly T[], limit: number, work: (item: T, index: number) => Promise<R>): Promise<R[]> {
  const results: R[] = new Array<R>(items.length);
  const pending = items.entries();
  let failed = false;
  const lane = async (): Promise<void> => {
    for (const [index, item] of pending) {
      if (failed) return;
      try {
        results[index] = await work(item, index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const settled = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, lane));
  for (const outcome of settled) if (outcome.status === 'rejected') throw outcome.reason;
  return results;
}

/** Every place between two things that a restore does, in their order, where a worker may be stopped. */
export const uncommittedPoints = [
  'restore.begun', 'restore.verified', 'backup.prelude', 'backup.dump', 'backup.finalize', 'backup.read-back', 'restore.safe', 'restore.staging', 'restore.staged', 'restore.checked', 'restore.maintenance', 'restore.planned',
] as const;
/** Reached only if a product wrote after the safety backup. */
export const lastStatePoints = ['restore.last-state', 'restore.last-state-kept', 'restore.last-state-noted'] as const;

/** From the commit point on, with as many steps as SWAP has. */
export function committedPoints(steps: number): string[] {
  return ['restore.committed', ...Array.from({ length: steps }, (_, index) => `restore.swap.${index}`), 'restore.swapped', 'restore.swap-noted', 'restore.maintenance-off', ...lastStatePoints, 'restore.old-dropped', 'restore.cleaned'];
}

/** Those that a MERGE alone has: when its safety backup was taken again, between two batches, and after the last one. */
export const mergePoints = { uncommitted: ['restore.merge-safe'], committed: ['restore.merge.2', 'restore.merged'] } as const;

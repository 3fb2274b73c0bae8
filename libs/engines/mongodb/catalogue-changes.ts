const fewest = 8;
const each = 32;

/** What the pool of connections has to have room for. */
export const mostCatalogueChanges = 128;

/**
 * How many renames or drops go side by side where there are so many to do. For each change of its catalogue the server makes a copy of the whole, one for all changes
 * that wait: with 20,000 collections, half of its processor time at 64 side by side. 20,000 renames took 12.5 to 15 s at 64, 8 to 11 s at 128, and no less at 256.
 */
export function catalogueChangesAtOnce(changes: number): number {
  return Math.min(Math.max(fewest, Math.ceil(changes / each)), mostCatalogueChanges);
}

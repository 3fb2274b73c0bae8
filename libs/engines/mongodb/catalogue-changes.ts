const fewest = 8;
const each = 64;

/** What the pool of connections has to have room for. */
export const mostCatalogueChanges = 32;

/**
 * How many renames or drops go side by side where there are so many to do. For each change of its catalogue the server makes a copy of the whole, one for all changes
 * that wait: eight at once cost it 0.7 ms each with 2,000 collections and 1.4 with 12,000, 32 at once 0.4 to 0.5 with either. More would gain little more, and each connection takes memory.
 */
export function catalogueChangesAtOnce(changes: number): number {
  return Math.min(Math.max(fewest, Math.ceil(changes / each)), mostCatalogueChanges);
}

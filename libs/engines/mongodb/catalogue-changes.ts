const fewest = 8;
const each = 64;

/** What the pool of connections has to have room for. */
export const mostCatalogueChanges = 64;

/**
 * How many renames or drops go side by side where there are so many to do. For each change of its catalogue the server makes a copy of the whole, one for all changes
 * that wait: with 20,000 collections, two thirds of its processor time at 32 side by side. 64 took 16 s for what took 25 to 28 s at 32, and 128 took 15; each connection takes memory.
 */
export function catalogueChangesAtOnce(changes: number): number {
  return Math.min(Math.max(fewest, Math.ceil(changes / each)), mostCatalogueChanges);
}

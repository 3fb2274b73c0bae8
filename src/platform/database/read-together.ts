import type { EntityManager } from 'typeorm';

type Reads = readonly (() => Promise<unknown>)[];
type Found<Asked extends Reads> = { -readonly [Place in keyof Asked]: Awaited<ReturnType<Asked[Place]>> };

/** What each of them finds: of reads at the same moment, or one after the other where they belong to a transaction, whose connection takes one statement at a time. */
export async function readTogether<const Asked extends Reads>(manager: EntityManager | undefined, reads: Asked): Promise<Found<Asked>> {
  if (manager === undefined) return (await Promise.all(reads.map((read) => read()))) as Found<Asked>;
  const found: unknown[] = [];
  for (const read of reads) found.push(await read());
  return found as Found<Asked>;
}

import { z } from 'zod';
import { AppError } from '#errors';

/** What of the archive is restored. */
export const restoreChoice = z.strictObject({
  /** Sorted names; null: the whole database. */
  collections: z.array(z.string()).readonly().nullable(),
});
export type RestoreChoice = z.output<typeof restoreChoice>;

export const wholeDatabase: RestoreChoice = { collections: null };

const mostNamed = 10;

/**
 * Names that a restore touches; null for the whole database. An archive of a part of a database (`partOf`) is never restored over the
 * rest: a chosen collection that it does not hold did not exist then, and is removed.
 *
 * @throws AppError BAD_USER_INPUT naming what the archive does not know
 */
export function chooseCollections(chosen: readonly string[] | null, archived: readonly { readonly name: string }[], partOf: readonly string[] | null): readonly string[] | null {
  if (chosen === null) return partOf === null ? null : [...new Set([...partOf, ...archived.map(({ name }) => name)])].sort();
  const known = new Set([...archived.map(({ name }) => name), ...(partOf ?? [])]);
  const unknown = [...new Set(chosen)].filter((name) => !known.has(name));
  if (unknown.length > 0) {
    const named = unknown.slice(0, mostNamed).map((name) => JSON.stringify(name)).join(', ');
    const more = unknown.length > mostNamed ? ` and ${unknown.length - mostNamed} more` : '';
    throw new AppError('BAD_USER_INPUT', `collections: the archive does not hold ${named}${more}`, { field: ['collections'] });
  }
  return [...new Set(chosen)].sort();
}

export function isChosen({ collections }: RestoreChoice, name: string): boolean {
  return collections === null || collections.includes(name);
}

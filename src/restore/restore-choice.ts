import { registerEnumType } from '@nestjs/graphql';
import { z } from 'zod';
import { AppError } from '#errors';

export const MergeConflict = { KEEP_LIVE: 'KEEP_LIVE', TAKE_ARCHIVE: 'TAKE_ARCHIVE' } as const;
export type MergeConflict = keyof typeof MergeConflict;
registerEnumType(MergeConflict, {
  name: 'MergeConflict',
  description: 'What MERGE does with a document that is live and in the archive, under one _id, and differs.',
  valuesMap: { KEEP_LIVE: { description: 'The live document stays.' }, TAKE_ARCHIVE: { description: "The archive's takes its place." } },
});

const mergeChoice = z.strictObject({
  conflict: z.enum(MergeConflict),
  /** Leave out documents whose unique keys are taken, instead of refusing the merge. */
  skipClashes: z.boolean(),
});
export type MergeChoice = z.output<typeof mergeChoice>;

/** What of the archive is restored, and how. */
export const restoreChoice = z.strictObject({
  /** Sorted names; null: the whole database, which is never merged. */
  collections: z.array(z.string()).readonly().nullable(),
  /** Null: the archive replaces what is live. */
  merge: mergeChoice.nullable(),
});
export type RestoreChoice = z.output<typeof restoreChoice>;

export const wholeDatabase: RestoreChoice = { collections: null, merge: null };

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

/** The same for a MERGE: it touches what the archive holds and nothing else. */
export function chooseMerged(chosen: readonly string[] | null, archived: readonly { readonly name: string }[], partOf: readonly string[] | null): readonly string[] {
  const names = new Set(archived.map(({ name }) => name));
  return (chooseCollections(chosen, archived, partOf) ?? [...names].sort()).filter((name) => names.has(name));
}

export function isChosen({ collections }: RestoreChoice, name: string): boolean {
  return collections === null || collections.includes(name);
}

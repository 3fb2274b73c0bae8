import type { NamespaceSummary } from '#engines';
import type { ArchivedNamespace } from '../backups/archived-namespaces.js';
import { type CollectionStatRow, diffCollections, type DiffKind, type NamespaceShape } from '../restore/collection-diff.js';

/** What the ends of one archive tell. */
export interface ArchiveEnds {
  readonly definitions: readonly ArchivedNamespace[];
  readonly summaries: readonly NamespaceSummary[];
  /** Names of the collections that it is a backup of; null: of the whole database. */
  readonly partOf: readonly string[] | null;
}

export interface ComparedCollection {
  readonly name: string;
  readonly kind: string;
  readonly first: CollectionStatRow | null;
  readonly other: CollectionStatRow | null;
  readonly change: DiffKind;
  readonly sumsEqual: boolean | null;
  readonly indexesChanged: readonly string[];
  readonly optionsChanged: readonly string[];
}

export interface Comparison {
  readonly collections: readonly ComparedCollection[];
  readonly notCompared: readonly string[];
}

/** Compares what both archives are backups of; a collection that one of them was not taken of is named instead. */
export function compareArchives(first: ArchiveEnds, other: ArchiveEnds): Comparison {
  const isCovered = (name: string): boolean => [first, other].every(({ partOf }) => partOf === null || partOf.includes(name));
  const names = new Set([...first.definitions, ...other.definitions].map(({ name }) => name));
  const shapesOf = ({ definitions }: ArchiveEnds): NamespaceShape[] => definitions.filter(({ name }) => isCovered(name)).map(toShape);
  const [firstSums, otherSums] = [sumsOf(first), sumsOf(other)];
  const collections = diffCollections(shapesOf(first), shapesOf(other)).map(({ live, archive, ...row }): ComparedCollection => {
    const sumsEqual = equalSums(firstSums.get(row.name), otherSums.get(row.name));
    return { ...row, first: live, other: archive, sumsEqual, change: row.change === 'SAME' && sumsEqual === false ? 'CHANGED' : row.change };
  });
  return { collections, notCompared: [...names].filter((name) => !isCovered(name)).sort() };
}

function sumsOf({ summaries }: ArchiveEnds): ReadonlyMap<string, NamespaceSummary> {
  return new Map(summaries.map((summary) => [summary.name, summary]));
}

/** Equal CRCs are equal documents in one order; the sums tell also where the order differs, and other writers may leave them out. */
function equalSums(first: NamespaceSummary | undefined, other: NamespaceSummary | undefined): boolean | null {
  if (first === undefined || other === undefined) return null;
  if (first.crc64 === other.crc64 && first.documents === other.documents) return true;
  return first.sum === '' || other.sum === '' ? null : first.sum === other.sum;
}

function toShape({ name, kind, documents, bytes, options, indexes }: ArchivedNamespace): NamespaceShape {
  return { name, kind, documents, bytes, indexCount: indexes.length, options, indexes };
}

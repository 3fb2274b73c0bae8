import { type ArchiveManifest, type CollectionMeta, parseCollectionMetadata } from '#archive';
import type { NamespaceKind, NamespaceSummary } from '#engines';
import type { Consistency } from './backup.entity.js';

/** A namespace as the archive defines it; `options` and `indexes` are Extended JSON. */
export interface ArchivedNamespace {
  readonly name: string;
  readonly kind: NamespaceKind;
  readonly documents: number;
  readonly bytes: number;
  readonly options: string;
  readonly indexes: readonly string[];
}

/** What an archive tells of itself; null where it does not. */
export interface Provenance {
  readonly rawBytes: number | null;
  readonly consistency: Consistency | null;
  readonly clusterTime: string | null;
  readonly engineVersion: string | null;
}

/** Those that were read while they could change: the namespaces that say so themselves or, where the backup is fuzzy and none does, all. */
export function fuzzyNames({ consistency, namespaces }: Pick<ArchiveManifest, 'consistency' | 'namespaces'>): ReadonlySet<string> {
  if (consistency.level === 'snapshot') return new Set();
  const told = namespaces.filter((namespace) => namespace.consistency === 'fuzzy');
  return new Set((told.length > 0 ? told : namespaces).map(({ name }) => name));
}

export function definitionsOf(collections: readonly CollectionMeta[], counted: readonly NamespaceSummary[]): ArchivedNamespace[] {
  const counts = new Map(counted.map((namespace) => [namespace.name, namespace]));
  return collections.map(({ collection, kind, metadata }) => {
    const { options, indexes } = parseCollectionMetadata(metadata);
    const { documents = 0, bytes = 0 } = counts.get(collection) ?? {};
    return { name: collection, kind, documents, bytes, options: options ?? '{}', indexes };
  });
}

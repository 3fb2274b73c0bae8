import { expiryOf } from '#archive';
import type { NamespaceKind, NamespaceState } from '#engines';
import { toStorableText } from '../platform/database/storable-text.js';

/** Seen from the live database: ADDED by the restore, MISSING from the archive (the restore removes it), CHANGED, or SAME as far as counts tell. */
export const DiffKind = { ADDED: 'ADDED', MISSING: 'MISSING', CHANGED: 'CHANGED', SAME: 'SAME' } as const;
export type DiffKind = keyof typeof DiffKind;

/** One namespace on either side. `options` and `indexes` are Extended JSON; null where the archive does not tell. */
export interface NamespaceShape {
  readonly name: string;
  readonly kind: NamespaceKind;
  readonly documents: number;
  readonly bytes: number;
  readonly indexCount: number;
  readonly options: string | null;
  readonly indexes: readonly string[] | null;
}

export interface CollectionStatRow {
  readonly name: string;
  readonly kind: NamespaceKind;
  readonly documents: number;
  readonly bytes: number;
  readonly indexes: number;
}

export interface CollectionDiffRow {
  readonly name: string;
  readonly kind: NamespaceKind;
  readonly live: CollectionStatRow | null;
  readonly archive: CollectionStatRow | null;
  readonly change: DiffKind;
  readonly indexesChanged: readonly string[];
  readonly optionsChanged: readonly string[];
}

export function diffCollections(live: readonly NamespaceShape[], archive: readonly NamespaceShape[]): CollectionDiffRow[] {
  const liveByName = new Map(live.map((shape) => [shape.name, shape]));
  const archiveByName = new Map(archive.map((shape) => [shape.name, shape]));
  const names = [...new Set([...liveByName.keys(), ...archiveByName.keys()])].sort();
  return names.map((name) => diffOne(name, liveByName.get(name) ?? null, archiveByName.get(name) ?? null));
}

export function toShape({ name, kind, documents, sizeBytes, options, indexes }: NamespaceState): NamespaceShape {
  return { name, kind, documents, bytes: sizeBytes, indexCount: indexes.length, options, indexes };
}

function toStat(shape: NamespaceShape): CollectionStatRow {
  return { name: shape.name, kind: shape.kind, documents: shape.documents, bytes: shape.bytes, indexes: shape.indexCount };
}

/** Those that delete documents by age: by a TTL index, or by their own option (time series, clustered). */
export function expiringOf<Shape extends NamespaceShape>(shapes: readonly Shape[]): Shape[] {
  return shapes.filter(({ options, indexes }) => expiryOf(options, indexes ?? []) !== null);
}

function diffOne(name: string, live: NamespaceShape | null, archive: NamespaceShape | null): CollectionDiffRow {
  const indexesChanged = live && archive ? changedKeys(namedIndexes(live.indexes), namedIndexes(archive.indexes)) : [];
  const optionsChanged = live && archive ? changedKeys(topLevel(live.options), topLevel(archive.options)) : [];
  const kind = (live ?? archive)?.kind ?? 'collection';
  const base = { name, kind, live: live && toStat(live), archive: archive && toStat(archive), indexesChanged, optionsChanged };
  if (!live) return { ...base, change: 'ADDED' };
  if (!archive) return { ...base, change: 'MISSING' };
  const same =
    live.kind === archive.kind &&
    live.documents === archive.documents &&
    live.bytes === archive.bytes &&
    indexesChanged.length === 0 &&
    optionsChanged.length === 0;
  return { ...base, change: same ? 'SAME' : 'CHANGED' };
}

function changedKeys(left: ReadonlyMap<string, string> | null, right: ReadonlyMap<string, string> | null): string[] {
  if (!left || !right) return [];
  const changed = [...new Set([...left.keys(), ...right.keys()])].filter((key) => left.get(key) !== right.get(key)).sort();
  // An archive of elsewhere may hold any name; that the server refuses it is said by a dry run, not by a plan that cannot be made.
  return changed.map(toStorableText);
}

function namedIndexes(indexes: readonly string[] | null): ReadonlyMap<string, string> | null {
  if (!indexes) return null;
  return new Map(indexes.map((text) => [(JSON.parse(text) as { name?: string }).name ?? text, relaxed(text)]));
}

function topLevel(options: string | null): ReadonlyMap<string, string> | null {
  if (options === null) return null;
  return new Map(Object.entries(JSON.parse(options || '{}') as object).map(([key, value]) => [key, relaxed(JSON.stringify(value))]));
}

// Old archives write "v":2 where the server's canonical form is {"$numberInt":"2"}: no change to report.
function relaxed(text: string): string {
  return text.replace(/\{"\$number(?:Int|Long|Double)":"(-?\d+)(?:\.0+)?"\}/g, '$1').replace(/\s+/g, ' ');
}

import { AppError } from '#errors';
import { jsonField, parseJsonObject } from './ordered-json.js';

/** First bytes of every mongodump archive. */
export const mongodumpMagic = Buffer.from([0x6d, 0xe2, 0x99, 0x81]);

export type NamespaceKind = 'collection' | 'view' | 'timeseries';

/** The archive's HEADER document. */
export interface MongodumpHeader {
  /** At least the number of namespaces that interleave at once; restore tools raise their parallelism to it. */
  readonly concurrentCollections: number;
  /** Format version; the tools write "0.1" and check nothing. */
  readonly version: string;
  /** x.y.z; from 8.3.0 on time series stand under their logical name, before it under `system.buckets.<name>`. */
  readonly serverVersion: string;
  readonly toolVersion: string;
}

/** One COLLMETA document of the prelude. */
export interface CollectionMeta {
  readonly db: string;
  readonly collection: string;
  /** JSON text as mongodump writes it, or empty; `parseCollectionMetadata` reads it. */
  readonly metadata: string;
  readonly kind: NamespaceKind;
}

/** What a COLLMETA's `metadata` text says. Definitions are Extended JSON exactly as it stands in the archive. */
export interface CollectionMetadata {
  /** Options of listCollections; null when the collection has none. */
  readonly options: string | null;
  readonly indexes: readonly string[];
  /** 32 lower-case hex digits; null for views and time series. */
  readonly uuid: string | null;
}

/** Reads metadata; empty text means no options and no indexes. Throws ARCHIVE_CORRUPT. */
export function parseCollectionMetadata(metadata: string): CollectionMetadata {
  if (metadata === '') return { options: null, indexes: [], uuid: null };
  const object = parseJsonObject(metadata);
  const options = jsonField(object, 'options');
  if (options !== undefined && options.kind !== 'object') throw malformed('options is no object');
  const indexes = jsonField(object, 'indexes');
  const isNull = indexes?.kind === 'literal' && indexes.value === null;
  if (indexes !== undefined && indexes.kind !== 'array' && !isNull) throw malformed('indexes is no array');
  const items = indexes?.kind === 'array' ? indexes.items : [];
  if (items.length > maxIndexes) throw malformed(`a collection has more than ${maxIndexes} indexes`);
  const uuid = jsonField(object, 'uuid');
  if (uuid !== undefined && (uuid.kind !== 'string' || !/^[0-9a-fA-F]{0,32}$/.test(uuid.value))) throw malformed('uuid is malformed');
  return {
    options: options === undefined || options.entries.length === 0 ? null : options.text,
    indexes: items.map((item) => {
      if (item.kind !== 'object') throw malformed('an index is no object');
      return item.text;
    }),
    uuid: uuid === undefined || uuid.value === '' ? null : uuid.value.toLowerCase(),
  };
}

// What a server allows a collection.
const maxIndexes = 64;
const malformed = (reason: string): AppError => new AppError('ARCHIVE_CORRUPT', `Collection metadata is malformed: ${reason}`);

/** Kind of a namespace whose COLLMETA names no type, as the 4.1-era tools wrote it. */
export function kindFromMetadata(metadata: string): NamespaceKind {
  const { options } = parseCollectionMetadata(metadata);
  if (options === null) return 'collection';
  const object = parseJsonObject(options);
  if (jsonField(object, 'viewOn') !== undefined) return 'view';
  return jsonField(object, 'timeseries') === undefined ? 'collection' : 'timeseries';
}

export interface MetadataInput {
  readonly collection: string;
  readonly kind: NamespaceKind;
  /** Canonical Extended JSON object; null or `{}` when there are none. */
  readonly options: string | null;
  readonly indexes: readonly string[];
  readonly uuid: string | null;
}

/** The `metadata` text of a COLLMETA, fields in mongodump's order. */
export function formatCollectionMetadata(input: MetadataInput): string {
  const parts: string[] = [];
  if (input.options !== null && input.options !== '{}') parts.push(`"options":${input.options}`);
  parts.push(`"indexes":[${input.indexes.join(',')}]`);
  if (input.uuid !== null) parts.push(`"uuid":"${input.uuid}"`);
  parts.push(`"collectionName":${JSON.stringify(input.collection)}`, `"type":"${input.kind}"`);
  return `{${parts.join(',')}}`;
}

/** "x.y.z" with anything after - or + left out; null when it is no version that mongorestore reads. */
export function parseServerVersion(text: string): readonly [number, number, number] | null {
  const match = /^(\d+)\.(\d+)\.(\d+)(?:[-+].*)?$/.exec(text);
  return match === null ? null : [Number(match[1]), Number(match[2]), Number(match[3])];
}

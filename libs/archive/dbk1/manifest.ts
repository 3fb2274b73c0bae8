import { AppError } from '#errors';
import zlib from 'node:zlib';
import type { NamespaceKind } from '../mongodump/format.js';
import { tagBytes } from './cipher.js';
import { maxFrameBytes, maxPreludeBytes } from './codec.js';

export type ConsistencyLevel = 'snapshot' | 'fuzzy';

/** What a dump tells of one namespace, and the manifest records. */
export interface NamespaceSummary {
  readonly name: string;
  readonly kind: NamespaceKind;
  readonly documents: number;
  readonly bytes: number;
  /** CRC-64/XZ of the documents in archive order, 16 hex digits. */
  readonly crc64: string;
  /** Sum modulo 2^64 of each document's CRC-64, 16 hex digits: free of order. */
  readonly sum: string;
  /** How many indexes the prelude defines for it. */
  readonly indexes: number;
  /** Present only where it is weaker than the whole backup's promise (a capped collection). */
  readonly consistency?: ConsistencyLevel;
}

/** As NamespaceSummary; other writers may leave `sum` out. */
export type ManifestNamespace = Omit<NamespaceSummary, 'sum'> & { readonly sum?: string };

/** [offset in the compressed stream, offset in the payload, index into namespaces or -1 for the prelude] */
export type Frame = readonly [compressedOffset: number, payloadOffset: number, namespaceIndex: number];

export interface PayloadSummary {
  readonly segments: number;
  readonly compressedBytes: number;
  readonly bytes: number;
  /** Hex SHA-256 of the uncompressed payload. */
  readonly sha256: string;
}

/** What the writer of an archive must say about it; the rest of the manifest is counted while writing. */
export interface ManifestInput {
  readonly producer: { readonly name: string; readonly version: string };
  readonly tenant: { readonly id: string; readonly slug: string; readonly name: string };
  readonly backup: { readonly id: string; readonly label: string; readonly trigger: string; readonly scope: string; readonly createdAt: string; /** Of a backup of these collections alone. */ readonly collections?: readonly string[] };
  readonly engine: { readonly name: string; readonly version: string; readonly featureCompatibility: string };
  readonly consistency: { readonly level: ConsistencyLevel; readonly clusterTime: string | null };
  readonly namespaces: readonly ManifestNamespace[];
}

export interface ArchiveManifest extends ManifestInput {
  readonly formatVersion: 1;
  readonly payload: PayloadSummary;
  readonly frames: readonly Frame[];
}

export const maxTrailerBytes = 64 * 1024 * 1024;
const maxManifestBytes = 256 * 1024 * 1024;

const tooLarge = (reason: string): AppError => new AppError('ARCHIVE_TOO_LARGE', reason);
const corrupt = (reason: string, cause?: unknown): AppError => new AppError('ARCHIVE_CORRUPT', `The archive's manifest is malformed: ${reason}`, cause === undefined ? {} : { cause });

/** gzip'ed JSON; throws ARCHIVE_TOO_LARGE beyond the limits of the format. */
export function encodeManifest(manifest: ArchiveManifest): Promise<Buffer> {
  const json = Buffer.from(JSON.stringify(manifest));
  if (json.length > maxManifestBytes) throw tooLarge('The manifest would be larger than 256 MiB');
  return new Promise((resolve, reject) => {
    zlib.gzip(json, { chunkSize: 1 << 18 }, (error, result) => {
      if (error !== null) reject(error);
      else if (result.length + tagBytes > maxTrailerBytes) reject(tooLarge('The compressed manifest would be larger than 64 MiB'));
      else resolve(result);
    });
  });
}

/** Undoes encodeManifest and checks every field; a gzip bomb is refused at 256 MiB. Throws ARCHIVE_CORRUPT, ARCHIVE_TOO_LARGE, ARCHIVE_UNSUPPORTED. */
export async function decodeManifest(compressed: Buffer): Promise<ArchiveManifest> {
  const json = await new Promise<Buffer>((resolve, reject) => {
    zlib.gunzip(compressed, { maxOutputLength: maxManifestBytes, chunkSize: 1 << 18 }, (error, result) => {
      if (error === null) resolve(result);
      else if ('code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') reject(tooLarge('The manifest expands to more than 256 MiB'));
      else reject(corrupt('it is not gzip', error));
    });
  });
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (cause) {
    throw corrupt('it is not JSON', cause);
  }
  return checkManifest(value);
}

class Fields {
  private readonly fields: Readonly<Record<string, unknown>>;
  constructor(
    value: unknown,
    private readonly path: string,
  ) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw corrupt(`${path === '' ? 'it' : path} is no object`);
    this.fields = value as Readonly<Record<string, unknown>>;
  }
  get(name: string): unknown {
    return Object.hasOwn(this.fields, name) ? this.fields[name] : undefined;
  }
  at(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`;
  }
  object(name: string): Fields {
    return new Fields(this.get(name), this.at(name));
  }
  text(name: string): string {
    const value = this.get(name);
    if (typeof value !== 'string') throw corrupt(`${this.at(name)} is no string`);
    return value;
  }
  count(name: string): number {
    const value = this.get(name);
    if (!isCount(value)) throw corrupt(`${this.at(name)} is no integer from 0 to 2^53 - 1`);
    return value;
  }
  hex(name: string, digits: number): string {
    const value = this.text(name);
    if (value.length !== digits || !/^[0-9a-f]*$/.test(value)) throw corrupt(`${this.at(name)} is not ${digits} lower-case hex digits`);
    return value;
  }
  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const value = values.find((candidate) => candidate === this.get(name));
    if (value === undefined) throw corrupt(`${this.at(name)} is not one of ${values.join(', ')}`);
    return value;
  }
  list(name: string): readonly unknown[] {
    const value = this.get(name);
    if (!Array.isArray(value)) throw corrupt(`${this.at(name)} is no array`);
    return value as readonly unknown[];
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const levels: readonly ConsistencyLevel[] = ['snapshot', 'fuzzy'];
const kinds: readonly NamespaceKind[] = ['collection', 'view', 'timeseries'];

function checkManifest(value: unknown): ArchiveManifest {
  const root = new Fields(value, '');
  const formatVersion = root.get('formatVersion');
  if (formatVersion !== 1) {
    if (typeof formatVersion === 'number') throw new AppError('ARCHIVE_UNSUPPORTED', `The archive's manifest has format version ${formatVersion}; this program reads version 1`);
    throw corrupt('formatVersion is no number');
  }
  const producer = root.object('producer');
  const tenant = root.object('tenant');
  const backup = root.object('backup');
  const engine = root.object('engine');
  const consistency = root.object('consistency');
  const clusterTime = consistency.get('clusterTime') === null ? null : consistency.text('clusterTime');
  if (clusterTime !== null && !/^\d{1,10}\.\d{1,10}$/.test(clusterTime)) throw corrupt('consistency.clusterTime is not <seconds>.<ordinal>');
  const payloadFields = root.object('payload');
  const payload = { segments: payloadFields.count('segments'), compressedBytes: payloadFields.count('compressedBytes'), bytes: payloadFields.count('bytes'), sha256: payloadFields.hex('sha256', 64) };
  const namespaces = root.list('namespaces').map((item, index) => checkNamespace(new Fields(item, `namespaces[${index}]`)));
  const names = new Set<string>();
  for (const { name } of namespaces) {
    if (names.has(name)) throw corrupt(`namespace ${JSON.stringify(name)} stands twice`);
    names.add(name);
  }
  return {
    formatVersion,
    producer: { name: producer.text('name'), version: producer.text('version') },
    tenant: { id: tenant.text('id'), slug: tenant.text('slug'), name: tenant.text('name') },
    backup: { id: backup.text('id'), label: backup.text('label'), trigger: backup.text('trigger'), scope: backup.text('scope'), createdAt: backup.text('createdAt'), ...collectionsOf(backup) },
    engine: { name: engine.text('name'), version: engine.text('version'), featureCompatibility: engine.text('featureCompatibility') },
    consistency: { level: consistency.oneOf('level', levels), clusterTime },
    payload,
    namespaces,
    frames: checkFrames(root.list('frames'), payload, namespaces.length),
  };
}

function collectionsOf(backup: Fields): { readonly collections?: readonly string[] } {
  if (backup.get('collections') === undefined) return {};
  return {
    collections: backup.list('collections').map((name) => {
      if (typeof name !== 'string') throw corrupt(`${backup.at('collections')} holds something that is no string`);
      return name;
    }),
  };
}

function checkNamespace(fields: Fields): ManifestNamespace {
  return {
    name: fields.text('name'),
    kind: fields.oneOf('kind', kinds),
    documents: fields.count('documents'),
    bytes: fields.count('bytes'),
    crc64: fields.hex('crc64', 16),
    ...(fields.get('sum') === undefined ? {} : { sum: fields.hex('sum', 16) }),
    indexes: fields.count('indexes'),
    ...(fields.get('consistency') === undefined ? {} : { consistency: fields.oneOf('consistency', levels) }),
  };
}

function checkFrames(list: readonly unknown[], payload: PayloadSummary, namespaces: number): readonly Frame[] {
  list.forEach((item, index) => {
    if (!Array.isArray(item) || item.length !== 3) throw corrupt(`frames[${index}] is no triple`);
    const [compressedOffset, payloadOffset, namespaceIndex] = item as readonly unknown[];
    if (!isCount(compressedOffset) || !isCount(payloadOffset) || !Number.isSafeInteger(namespaceIndex)) throw corrupt(`frames[${index}] is no triple of integers`);
    if ((namespaceIndex as number) < -1 || (namespaceIndex as number) >= namespaces) throw corrupt(`frames[${index}] names a namespace that does not exist`);
  });
  const frames = list as readonly Frame[];
  if (frames.length === 0) {
    if (payload.compressedBytes !== 0 || payload.bytes !== 0) throw corrupt('it has no frames');
    return frames;
  }
  if (frames[0]![0] !== 0 || frames[0]![1] !== 0 || frames[0]![2] !== -1) throw corrupt('its frames do not start at [0, 0, -1]');
  frames.forEach((frame, index) => {
    const next = frames[index + 1] ?? [payload.compressedBytes, payload.bytes];
    if (next[0] <= frame[0] || next[1] <= frame[1]) throw corrupt(`frames[${index}] is empty or out of order`);
    if (next[1] - frame[1] > (frame[2] === -1 ? maxPreludeBytes : maxFrameBytes)) throw tooLarge('A frame of the archive is larger than this program reads');
    if (next[0] - frame[0] > maxPreludeBytes + (1 << 20)) throw tooLarge('A frame of the archive is larger than this program reads');
  });
  return frames;
}

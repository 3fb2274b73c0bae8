import { AppError } from '#errors';
import { createHash } from 'node:crypto';

export type Codec = 'none' | 'gzip' | 'zstd';
export type PayloadType = 'mongodump' | 'pgdump' | 'sql' | 'tabular';

const codecs: readonly Codec[] = ['none', 'gzip', 'zstd'];
const payloadTypes: readonly PayloadType[] = ['mongodump', 'pgdump', 'sql', 'tabular'];
const magic = Buffer.from('DBK1');
const version = 1;
const cipherAes256Gcm = 1;

const minSegmentSize = 4096;
const maxSegmentSize = 16 * 1024 * 1024;
export const defaultSegmentSize = 65_536;
export const saltBytes = 32;
const keyCheckBytes = 16;
const maxContextBytes = 4096;
const fixedBytes = 13;

/** The longest header there is: read so many bytes to be sure of a whole one. */
export const maxHeaderBytes = fixedBytes + 255 + keyCheckBytes + saltBytes + 2 + maxContextBytes;

/** What a header tells without a key. Bound into the archive's key, hence true once the archive has been opened. */
export interface ArchiveContext {
  /** Id of the tenant, as its keys were derived with it. */
  readonly tenant: string;
  readonly backup: string;
  readonly label: string;
  /** ISO 8601. */
  readonly createdAt: string;
}

export interface ArchiveHeader {
  readonly codec: Codec;
  readonly payloadType: PayloadType;
  /** Bytes of plaintext of every segment but the last. */
  readonly segmentSize: number;
  readonly keyId: string;
  readonly keyCheck: Buffer;
  /** 64 hex digits; unique to this file. */
  readonly salt: string;
  readonly context: ArchiveContext;
  /** Length of the header itself: where the first segment begins. */
  readonly sizeBytes: number;
  /** Hex SHA-256 of the header's bytes. */
  readonly sha256: string;
}

export interface HeaderInput {
  readonly codec: Codec;
  readonly payloadType: PayloadType;
  readonly segmentSize: number;
  readonly keyId: string;
  readonly keyCheck: Buffer;
  readonly salt: Buffer;
  readonly context: ArchiveContext;
}

/** Throws RangeError for values that no header can hold. */
export function encodeHeader(input: HeaderInput): Buffer {
  if (!Number.isInteger(input.segmentSize) || input.segmentSize < minSegmentSize || input.segmentSize > maxSegmentSize) {
    throw new RangeError(`segmentSize must be ${minSegmentSize} to ${maxSegmentSize}`);
  }
  if (!/^[\x21-\x7e]{1,255}$/.test(input.keyId)) throw new RangeError('A key id is 1 to 255 printable ASCII characters');
  const { tenant, backup, label, createdAt } = input.context;
  const context = Buffer.from(JSON.stringify({ tenant, backup, label, createdAt }));
  if (context.length > maxContextBytes) throw new RangeError(`The context is longer than ${maxContextBytes} bytes`);
  const fixed = Buffer.from([...magic, version, cipherAes256Gcm, codecs.indexOf(input.codec), payloadTypes.indexOf(input.payloadType) + 1, 0, 0, 0, 0, input.keyId.length]);
  fixed.writeUInt32BE(input.segmentSize, 8);
  const contextLength = Buffer.alloc(2);
  contextLength.writeUInt16BE(context.length);
  return Buffer.concat([fixed, Buffer.from(input.keyId, 'latin1'), input.keyCheck, input.salt, contextLength, context]);
}

const unsupported = (reason: string): AppError => new AppError('ARCHIVE_UNSUPPORTED', reason);
const corrupt = (reason: string, cause?: unknown): AppError => new AppError('ARCHIVE_CORRUPT', reason, cause === undefined ? {} : { cause });
const truncated = (): AppError => new AppError('ARCHIVE_TRUNCATED', 'The archive ends inside its header');

/**
 * Reads the header at the start of `bytes`, which may hold more than it. Nothing in it is authenticated yet. Throws ARCHIVE_UNSUPPORTED,
 * ARCHIVE_TRUNCATED, ARCHIVE_CORRUPT.
 */
export function parseHeader(bytes: Buffer): ArchiveHeader {
  if (!bytes.subarray(0, 4).equals(magic.subarray(0, Math.min(bytes.length, 4)))) throw unsupported('The file is not an encrypted archive: it does not begin with DBK1');
  if (bytes.length < fixedBytes) throw truncated();
  if (bytes[4] !== version) throw unsupported(`The archive has format version ${bytes[4]}; this program reads version ${version}`);
  if (bytes[5] !== cipherAes256Gcm) throw unsupported(`The archive uses the unknown cipher ${bytes[5]}`);
  const codec = codecs[bytes[6]!];
  if (codec === undefined) throw unsupported(`The archive uses the unknown codec ${bytes[6]}`);
  const payloadType = payloadTypes[bytes[7]! - 1];
  if (payloadType === undefined) throw unsupported(`The archive has the unknown payload type ${bytes[7]}`);
  const segmentSize = bytes.readUInt32BE(8);
  if (segmentSize < minSegmentSize || segmentSize > maxSegmentSize) {
    throw unsupported(`The archive's segment size is ${segmentSize}, outside ${minSegmentSize} to ${maxSegmentSize}`);
  }

  const keyIdBytes = bytes[12]!;
  const contextAt = fixedBytes + keyIdBytes + keyCheckBytes + saltBytes + 2;
  if (bytes.length < contextAt) throw truncated();
  const keyId = bytes.toString('latin1', fixedBytes, fixedBytes + keyIdBytes);
  if (!/^[\x21-\x7e]+$/.test(keyId)) throw corrupt("The archive's key id is malformed");
  const contextBytes = bytes.readUInt16BE(contextAt - 2);
  if (contextBytes > maxContextBytes) throw corrupt(`The archive's context claims ${contextBytes} bytes`);
  const sizeBytes = contextAt + contextBytes;
  if (bytes.length < sizeBytes) throw truncated();
  const saltAt = fixedBytes + keyIdBytes + keyCheckBytes;
  return {
    codec,
    payloadType,
    segmentSize,
    keyId,
    keyCheck: Buffer.from(bytes.subarray(saltAt - keyCheckBytes, saltAt)),
    salt: bytes.toString('hex', saltAt, saltAt + saltBytes),
    context: parseContext(bytes.subarray(contextAt, sizeBytes)),
    sizeBytes,
    sha256: createHash('sha256').update(bytes.subarray(0, sizeBytes)).digest('hex'),
  };
}

function parseContext(bytes: Buffer): ArchiveContext {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw corrupt("The archive's context is not JSON", cause);
  }
  if (typeof value !== 'object' || value === null) throw corrupt("The archive's context is no object");
  const fields = value as Readonly<Record<string, unknown>>;
  const text = (name: string): string => {
    const field = fields[name];
    if (typeof field !== 'string') throw corrupt(`The archive's context has no ${name}`);
    return field;
  };
  return { tenant: text('tenant'), backup: text('backup'), label: text('label'), createdAt: text('createdAt') };
}

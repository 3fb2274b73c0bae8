import { AppError } from '#errors';
import type { Uint64 } from '../crc64.js';
import { bsonType, maxDocumentBytes } from './bson-elements.js';
import { mongodumpMagic, parseServerVersion, type CollectionMeta, type MongodumpHeader } from './format.js';

/** Ends the prelude and every block. */
export const terminator: Buffer = Buffer.from([0xff, 0xff, 0xff, 0xff]);

type Field = readonly [name: string, value: string | number | boolean | Uint64];

function encodeDocument(fields: readonly Field[]): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of fields) {
    const type = typeof value === 'string' ? bsonType.string : typeof value === 'number' ? bsonType.int32 : typeof value === 'boolean' ? bsonType.boolean : bsonType.int64;
    parts.push(Buffer.from([type]), Buffer.from(`${name}\0`));
    if (typeof value === 'string') {
      const bytes = Buffer.from(`${value}\0`);
      const length = Buffer.allocUnsafe(4);
      length.writeInt32LE(bytes.length);
      parts.push(length, bytes);
    } else if (typeof value === 'boolean') {
      parts.push(Buffer.from([value ? 1 : 0]));
    } else {
      const bytes = Buffer.alloc(typeof value === 'number' ? 4 : 8);
      if (typeof value === 'number') bytes.writeInt32LE(value);
      else {
        bytes.writeUInt32LE(value.low >>> 0, 0);
        bytes.writeUInt32LE(value.high >>> 0, 4);
      }
      parts.push(bytes);
    }
  }
  const length = parts.reduce((sum, part) => sum + part.length, 5);
  const prefix = Buffer.allocUnsafe(4);
  prefix.writeInt32LE(length);
  return Buffer.concat([prefix, ...parts, Buffer.from([0])], length);
}

/** Magic, HEADER, one COLLMETA a namespace and the terminator: frame 0 of an archive. */
export function encodePrelude(header: MongodumpHeader, collections: readonly CollectionMeta[]): Buffer {
  if (parseServerVersion(header.serverVersion) === null) throw new RangeError(`Not a server version that mongorestore reads: ${header.serverVersion}`);
  const parts = [
    mongodumpMagic,
    encodeDocument([
      ['concurrent_collections', header.concurrentCollections],
      ['version', header.version],
      ['server_version', header.serverVersion],
      ['tool_version', header.toolVersion],
    ]),
  ];
  for (const { db, collection, metadata, kind } of collections) {
    const document = encodeDocument([['db', db], ['collection', collection], ['metadata', metadata], ['size', 0], ['type', kind]]);
    if (document.length > maxDocumentBytes) {
      throw new AppError('ARCHIVE_TOO_LARGE', `The definition of collection ${JSON.stringify(collection)} is larger than the archive format allows`);
    }
    parts.push(document);
  }
  parts.push(terminator);
  return Buffer.concat(parts);
}

const zero: Uint64 = { high: 0, low: 0 };

/** Begins a block of documents; `terminator` ends it. */
export function encodeNamespaceHeader(db: string, collection: string): Buffer {
  return encodeDocument([['db', db], ['collection', collection], ['EOF', false], ['CRC', zero]]);
}

/** The block, terminator included, that closes a namespace; `crc` is the CRC-64 of all its documents in order. */
export function encodeNamespaceEnd(db: string, collection: string, crc: Uint64): Buffer {
  return Buffer.concat([encodeDocument([['db', db], ['collection', collection], ['EOF', true], ['CRC', crc]]), terminator]);
}

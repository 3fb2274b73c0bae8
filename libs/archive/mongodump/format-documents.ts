import { AppError } from '#errors';
import { bsonElements, bsonText, bsonType, type BsonElement } from './bson-elements.js';
import { kindFromMetadata, parseServerVersion, type CollectionMeta, type MongodumpHeader, type NamespaceKind } from './format.js';

export const corrupt = (rule: string, cause?: unknown): AppError =>
  new AppError('ARCHIVE_CORRUPT', `The archive breaks the mongodump format: ${rule}`, cause === undefined ? {} : { cause });

function collect(piece: Buffer, what: string): Map<string, BsonElement> {
  const fields = new Map<string, BsonElement>();
  let end = 4;
  for (const element of bsonElements(piece)) {
    if (fields.has(element.name)) throw corrupt(`${what} has the field ${element.name} twice`);
    fields.set(element.name, element);
    end = element.end;
  }
  if (end !== piece.length - 1) throw corrupt(`${what} is longer than its fields`);
  return fields;
}

function textField(piece: Buffer, fields: Map<string, BsonElement>, name: string, what: string): string {
  const field = fields.get(name);
  if (field?.type !== bsonType.string) throw corrupt(`${what} has no string ${name}`);
  return bsonText(piece, field.start);
}

/** The prelude's first document. Throws ARCHIVE_CORRUPT, or BsonMalformed. */
export function readHeader(piece: Buffer): MongodumpHeader {
  const fields = collect(piece, 'the header');
  const concurrent = fields.get('concurrent_collections');
  if (concurrent?.type !== bsonType.int32) throw corrupt('the header has no int32 concurrent_collections');
  const serverVersion = textField(piece, fields, 'server_version', 'the header');
  if (parseServerVersion(serverVersion) === null) throw corrupt(`server_version is ${JSON.stringify(serverVersion.slice(0, 40))}, not x.y.z`);
  return {
    concurrentCollections: piece.readInt32LE(concurrent.start),
    version: textField(piece, fields, 'version', 'the header'),
    serverVersion,
    toolVersion: textField(piece, fields, 'tool_version', 'the header'),
  };
}

/** One COLLMETA of the prelude. Throws ARCHIVE_CORRUPT, or BsonMalformed. */
export function readDefinition(piece: Buffer): CollectionMeta {
  const what = 'a collection definition';
  const fields = collect(piece, what);
  const metadata = textField(piece, fields, 'metadata', what);
  const size = fields.get('size');
  if (size !== undefined && size.type !== bsonType.int32) throw corrupt(`${what} has a size that is no int32`);
  const type = fields.has('type') ? textField(piece, fields, 'type', what) : null;
  const db = textField(piece, fields, 'db', what);
  const collection = textField(piece, fields, 'collection', what);
  if (collection === '' || db.includes('\0') || collection.includes('\0')) throw corrupt(`${what} has an unusable name`);
  return { db, collection, metadata, kind: kindOf(type, metadata) };
}

function kindOf(type: string | null, metadata: string): NamespaceKind {
  switch (type) {
    case 'collection':
    case 'view':
    case 'timeseries':
      return type;
    case '':
    case null:
      return kindFromMetadata(metadata);
    default:
      throw corrupt(`a collection definition has the unknown type ${JSON.stringify(type.slice(0, 40))}`);
  }
}

/** What begins a block; `crc` is 16 hex digits. Throws ARCHIVE_CORRUPT, or BsonMalformed. */
export function readNamespaceHeader(piece: Buffer): { readonly db: string; readonly collection: string; readonly isEnd: boolean; readonly crc: string } {
  const what = 'a namespace header';
  const fields = collect(piece, what);
  for (const name of fields.keys()) {
    if (name !== 'db' && name !== 'collection' && name !== 'EOF' && name !== 'CRC') throw corrupt(`${what} has the unknown field ${JSON.stringify(name.slice(0, 40))}`);
  }
  const isEnd = fields.get('EOF');
  if (isEnd?.type !== bsonType.boolean) throw corrupt(`${what} has no boolean EOF`);
  const crc = fields.get('CRC');
  if (crc?.type !== bsonType.int64) throw corrupt(`${what} has no int64 CRC`);
  return {
    db: textField(piece, fields, 'db', what),
    collection: textField(piece, fields, 'collection', what),
    isEnd: piece[isEnd.start] !== 0,
    crc: piece.readBigUInt64LE(crc.start).toString(16).padStart(16, '0'),
  };
}

export { Crc64, DocumentSums, formatUint64, type Uint64 } from './crc64.js';
export { bsonToExtendedJson, extendedJsonToBson } from './mongodump/extended-json.js';
export {
  formatCollectionMetadata,
  mongodumpMagic,
  parseCollectionMetadata,
  parseServerVersion,
  type CollectionMeta,
  type CollectionMetadata,
  type MetadataInput,
  type MongodumpHeader,
  type NamespaceKind,
} from './mongodump/format.js';
export {
  MongodumpParser,
  parseMongodump,
  type ArchiveNamespace,
  type DocumentsEvent,
  type MongodumpEvent,
  type NamespaceEndEvent,
  type PreludeEvent,
} from './mongodump/parser.js';
export { encodeNamespaceEnd, encodeNamespaceHeader, encodePrelude, terminator } from './mongodump/writer.js';

export { compareDocuments, type CompareDocumentsOptions, type CompareSide, type DocumentDifferences } from './compare/compare-documents.js';
export { DocumentSums } from './crc64.js';
export { type Expiry, ExpiryCounter, expiryOf } from './expiry.js';
export { bsonToExtendedJson } from './mongodump/bson-to-extended-json.js';
export { extendedJsonToBson } from './mongodump/extended-json-to-bson.js';
export {
  formatCollectionMetadata,
  mongodumpMagic,
  parseCollectionMetadata,
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
  type ParseOptions,
  type PreludeEvent,
} from './mongodump/parser.js';
export { encodeNamespaceEnd, encodeNamespaceHeader, encodePrelude, terminator } from './mongodump/writer.js';
export { type ArchiveContext, type ArchiveHeader, type Codec, type PayloadType } from './dbk1/header.js';
export { readArchiveHeader } from './dbk1/layout.js';
export {
  decodeManifest,
  encodeManifest,
  maxTrailerBytes,
  type ArchiveManifest,
  type ConsistencyLevel,
  type Frame,
  type ManifestInput,
  type ManifestNamespace,
  type NamespaceSummary,
  type PayloadSummary,
} from './dbk1/manifest.js';
export { type ExpectedArchive, type OpenOptions } from './dbk1/open.js';
export { type FrameWriterOptions } from './dbk1/frame-writer.js';
export { FramedArchive, type ArchiveFrame, type ReadOptions } from './dbk1/framed-archive.js';
export { openManifestedArchive } from './dbk1/plain-reader.js';
export { PlainArchiveWriter, type PlainArchiveSummary } from './dbk1/plain-writer.js';
export { openArchive, OpenArchive } from './dbk1/reader.js';
export { ArchiveWriter, type ArchiveSummary, type ArchiveWriterOptions } from './dbk1/writer.js';
export { deriveTenantKey, KeyRing, type MasterKey, type TenantKeys } from './keys.js';
export { openPlainArchive, sniffArchive, type ArchiveFormat, type PlainArchive, type PlainOptions } from './plain.js';
export { sealRecoveryKit, type RecoveryKitContent } from './recovery-kit.js';
export { release } from './release.js';
export { scanPayload, verifyArchive, type OnDocuments, type OnScanProgress, type ScanProgress, type ScanResult, verifySelection } from './scan.js';
export { selectPayload } from './select.js';
export { Semaphore } from './semaphore.js';
export { type ArchiveSource } from './source.js';
export { collectEach, discarded } from './young-garbage.js';

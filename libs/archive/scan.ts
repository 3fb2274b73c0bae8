import { AppError } from '#errors';
import type { ArchiveFrame, FramedArchive } from './dbk1/framed-archive.js';
import type { ArchiveManifest, ManifestNamespace, NamespaceSummary } from './dbk1/manifest.js';
import { parseCollectionMetadata, type CollectionMeta, type MongodumpHeader } from './mongodump/format.js';
import { type ArchiveNamespace, MongodumpParser, type MongodumpEvent } from './mongodump/parser.js';
import { selectPrelude } from './select.js';

/** What a payload holds, counted by reading the whole of it. */
export interface ScanResult {
  readonly header: MongodumpHeader;
  readonly collections: readonly CollectionMeta[];
  /** In the order of the prelude; a time series under its logical name. */
  readonly namespaces: readonly NamespaceSummary[];
  readonly bytes: number;
}

export interface ScanProgress {
  readonly bytesDone: number;
  readonly documentsDone: number;
}

export type OnScanProgress = (progress: ScanProgress) => void;

/** Sees each run of whole documents of a namespace while they are checked; the bytes are not its to keep. */
export type OnDocuments = (namespace: ArchiveNamespace, documents: Buffer) => void;

class Scanner {
  private readonly parser = new MongodumpParser();
  private prelude: { readonly header: MongodumpHeader; readonly collections: readonly CollectionMeta[] } | null = null;
  private readonly found: NamespaceSummary[] = [];
  private bytesDone = 0;
  private documentsDone = 0;

  constructor(
    private readonly onProgress: OnScanProgress | undefined,
    private readonly onDocuments: OnDocuments | undefined,
  ) {}

  get isAtBoundary(): boolean {
    return this.parser.isAtBoundary;
  }

  push(chunk: Buffer, onEvent?: (event: MongodumpEvent) => void): void {
    for (const event of this.parser.push(chunk)) {
      onEvent?.(event);
      if (event.type === 'prelude') this.prelude = { header: event.header, collections: event.collections };
      else if (event.type === 'documents') {
        this.documentsDone += event.count;
        this.onDocuments?.(event.namespace, event.documents);
      } else {
        const { meta, index } = event.namespace;
        this.found[index] = {
          name: meta.collection,
          kind: meta.kind,
          documents: event.documents,
          bytes: event.bytes,
          crc64: event.crc,
          sum: event.sum,
          indexes: parseCollectionMetadata(meta.metadata).indexes.length,
        };
      }
    }
    this.bytesDone += chunk.length;
    this.onProgress?.({ bytesDone: this.bytesDone, documentsDone: this.documentsDone });
  }

  finish(): ScanResult {
    this.parser.end();
    return { ...this.prelude!, namespaces: this.found, bytes: this.bytesDone };
  }
}

/** Reads a whole mongodump payload once: every rule of the format and every CRC is checked. Throws ARCHIVE_CORRUPT, ARCHIVE_TRUNCATED and what `payload` throws. */
export async function scanPayload(payload: AsyncIterable<Buffer>, onProgress?: OnScanProgress, onDocuments?: OnDocuments): Promise<ScanResult> {
  const scanner = new Scanner(onProgress, onDocuments);
  for await (const chunk of payload) scanner.push(chunk);
  return scanner.finish();
}

/**
 * Reads the whole archive and compares it with its manifest: hash, counts, sums, and that each frame holds whole blocks
 * of the namespace it claims. Throws ARCHIVE_CORRUPT naming the namespace.
 */
export async function verifyArchive(archive: FramedArchive, onProgress?: OnScanProgress, onDocuments?: OnDocuments): Promise<ScanResult> {
  if (archive.payloadType !== 'mongodump') throw new AppError('ARCHIVE_UNSUPPORTED', `The archive holds a payload of type ${archive.payloadType}`);
  const scanner = new Scanner(onProgress, onDocuments);
  for await (const frame of archive.payloadFrames({ lent: true })) pushFrame(scanner, frame, archive);
  const result = scanner.finish();
  compareWithManifest(result, archive.manifest);
  return result;
}

/**
 * As `verifyArchive`, of the prelude and the frames of these collections alone: tags, format, counts and sums. The rest of the archive is
 * not read, so nothing is said of it. Throws ARCHIVE_CORRUPT naming the namespace.
 */
export async function verifySelection(archive: FramedArchive, names: ReadonlySet<string>, onProgress?: OnScanProgress, onDocuments?: OnDocuments): Promise<ScanResult> {
  if (archive.payloadType !== 'mongodump') throw new AppError('ARCHIVE_UNSUPPORTED', `The archive holds a payload of type ${archive.payloadType}`);
  const { manifest } = archive;
  const scanner = new Scanner(onProgress, onDocuments);
  scanner.push(selectPrelude(await archive.prelude(), names));
  const indexes = manifest.namespaces.flatMap(({ name }, index) => (names.has(name) ? [index] : []));
  for await (const frame of archive.frames(indexes, { lent: true })) pushFrame(scanner, frame, archive);
  const result = scanner.finish();
  compareNamespaces(result.namespaces, manifest.namespaces.filter(({ name }) => names.has(name)));
  return result;
}

function pushFrame(scanner: Scanner, { namespaceIndex, payload }: ArchiveFrame, { manifest }: FramedArchive): void {
  const claimed = manifest.namespaces[namespaceIndex]?.name;
  scanner.push(payload, (event) => {
    if (event.type === 'prelude' ? namespaceIndex !== -1 : event.namespace.meta.collection !== claimed) {
      throw new AppError('ARCHIVE_CORRUPT', `The archive is damaged: a frame of ${claimed === undefined ? 'the prelude' : `collection ${JSON.stringify(claimed)}`} holds something else`);
    }
  });
  if (!scanner.isAtBoundary) throw new AppError('ARCHIVE_CORRUPT', 'The archive is damaged: a frame does not end where a block ends');
}

/** Throws ARCHIVE_CORRUPT naming the first namespace that differs from the manifest. */
export function compareWithManifest(result: ScanResult, manifest: ArchiveManifest): void {
  if (result.bytes !== manifest.payload.bytes) throw new AppError('ARCHIVE_CORRUPT', 'The archive is damaged: the length of its payload differs from the manifest');
  compareNamespaces(result.namespaces, manifest.namespaces);
}

function compareNamespaces(namespaces: readonly NamespaceSummary[], manifest: readonly ManifestNamespace[]): void {
  const listed = new Map(manifest.map((namespace) => [namespace.name, namespace]));
  if (namespaces.length !== listed.size) throw new AppError('ARCHIVE_CORRUPT', 'The archive is damaged: it holds other collections than its manifest lists');
  for (const found of namespaces) {
    const expected = listed.get(found.name);
    const difference = expected === undefined ? 'is not listed' : differenceOf(found, expected);
    if (difference !== null) throw new AppError('ARCHIVE_CORRUPT', `The archive is damaged: collection ${JSON.stringify(found.name)} ${difference} in the manifest`);
  }
}

function differenceOf(found: NamespaceSummary, expected: ManifestNamespace): string | null {
  const fields = ['kind', 'documents', 'bytes', 'crc64', 'sum', 'indexes'] as const;
  for (const field of fields) {
    if (expected[field] !== undefined && expected[field] !== found[field]) return `has ${field} ${found[field]}, but ${expected[field]} stands`;
  }
  return null;
}

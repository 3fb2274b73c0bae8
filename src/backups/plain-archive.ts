import { createHash } from 'node:crypto';
import { type ArchiveSource, discarded, type OnDocuments, openPlainArchive, type PlainArchive, scanPayload, type ScanResult, selectPayload } from '#archive';
import type { PayloadSource, Work } from '#engines';
import { AppError } from '#errors';
import { type ArchivedNamespace, definitionsOf, type Provenance } from './archived-namespaces.js';

/** A mongodump archive of the public tools: it has no trailer, so only reading it whole tells what it holds. */
export class PlainStoredArchive {
  private constructor(
    private readonly source: ArchiveSource,
    private readonly archive: PlainArchive,
    private readonly hashing: HashedSource,
    private readonly sha256: string,
    private scanned: ScanResult | null = null,
  ) {}

  /** @throws AppError ARCHIVE_UNSUPPORTED, ARCHIVE_TRUNCATED; the source stays the caller's then */
  static async open(source: ArchiveSource, sha256: string): Promise<PlainStoredArchive> {
    const hashing = new HashedSource(source);
    return new PlainStoredArchive(source, await openPlainArchive(hashing), hashing, sha256);
  }

  /** The tools tell nothing of it. */
  readonly origin = null;

  get compressedBytes(): number {
    return this.source.sizeBytes;
  }

  /** For whoever has verified the archive. The tools do not tell whether it is of one moment. */
  get provenance(): Provenance {
    return { rawBytes: this.scanned?.bytes ?? null, consistency: null, clusterTime: null, engineVersion: this.scanned?.header.serverVersion ?? null };
  }

  /** For whoever has verified the archive. The tools read without a snapshot. */
  get payload(): PayloadSource {
    const namespaces = this.scanned?.namespaces ?? [];
    return { namespaces, fuzzy: new Set(namespaces.map(({ name }) => name)), payload: () => this.archive.payload() };
  }

  /** The tools write whole databases. */
  readonly partOf = null;

  /** For whoever has verified the archive: all of it is read again. */
  select(names: ReadonlySet<string>): PayloadSource {
    const whole = this.payload;
    return { ...whole, namespaces: whole.namespaces.filter(({ name }) => names.has(name)), payload: () => selectPayload(whole.payload(), names) };
  }

  /** Nothing tells where a collection lies, so the whole file is read. */
  async verifySelection(_names: ReadonlySet<string>, work: Pick<Work, 'signal' | 'report'>, onDocuments?: OnDocuments): Promise<number> {
    await this.verify(work, onDocuments);
    return this.source.sizeBytes;
  }

  bytesOf(_names: ReadonlySet<string>): number {
    return this.source.sizeBytes;
  }

  compressed(): AsyncIterable<Buffer> {
    return this.source.stream();
  }

  async definitions(work: Pick<Work, 'signal' | 'report'>): Promise<readonly ArchivedNamespace[]> {
    const { collections, namespaces } = await this.verify(work);
    return definitionsOf(collections, namespaces);
  }

  /**
   * Reads every byte once: hash, format, counts and sums. Called again it reads nothing, and `onDocuments` sees nothing.
   *
   * @throws AppError ARCHIVE_*
   */
  async verify(work: Pick<Work, 'signal' | 'report'>, onDocuments?: OnDocuments): Promise<ScanResult> {
    return (this.scanned ??= await this.scan(work, onDocuments));
  }

  /** Only the content tells what there is to restore, so all of it is read. */
  async verifyHash(work: Pick<Work, 'signal' | 'report'>): Promise<void> {
    await this.verify(work);
  }

  close(): Promise<void> {
    return this.archive.close();
  }

  private async scan(work: Pick<Work, 'signal' | 'report'>, onDocuments?: OnDocuments): Promise<ScanResult> {
    const found = await scanPayload(this.archive.payload(), () => {
      work.signal.throwIfAborted();
      work.report({ bytesDone: this.hashing.bytesDone, bytesTotal: this.source.sizeBytes, itemsDone: 0, itemsTotal: null, current: null });
    }, onDocuments);
    if (this.hashing.bytesDone !== this.source.sizeBytes) throw new AppError('ARCHIVE_CORRUPT', 'The archive is damaged: bytes follow its end');
    if (this.hashing.digest() !== this.sha256) throw new AppError('ARCHIVE_REPLACED', 'The SHA-256 of the file is not that of the file that was given');
    return found;
  }
}

/** Hashes the file while it is read from its start. */
class HashedSource implements ArchiveSource {
  bytesDone = 0;
  private hash = createHash('sha256');

  constructor(private readonly source: ArchiveSource) {}

  get sizeBytes(): number {
    return this.source.sizeBytes;
  }

  read(offset: number, length: number): Promise<Buffer> {
    return this.source.read(offset, length);
  }

  async *stream(start = 0, end = this.source.sizeBytes): AsyncGenerator<Buffer, void, undefined> {
    this.bytesDone = start;
    this.hash = createHash('sha256');
    for await (const chunk of this.source.stream(start, end)) {
      this.hash.update(chunk);
      this.bytesDone += chunk.length;
      yield chunk;
      discarded(chunk.length);
    }
  }

  digest(): string {
    return this.hash.copy().digest('hex');
  }

  close(): Promise<void> {
    return this.source.close();
  }
}

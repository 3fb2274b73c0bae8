import { type ArchiveFrame, type ArchiveManifest, type ArchiveWriterOptions, type FramedArchive, MongodumpParser, type OnDocuments, type OpenArchive, verifyArchive, verifySelection } from '#archive';
import type { NamespaceSummary, PayloadSource, Work } from '#engines';
import { AppError } from '#errors';
import type { StoredObject } from '#storage';
import { sha256Of } from '../platform/storage/object-hash.js';
import type { ArchiveObjects } from './archive-objects.js';
import { type ArchivedNamespace, definitionsOf, fuzzyNames, type Provenance } from './archived-namespaces.js';

/** An open archive of ours. */
export class StoredArchive {
  constructor(
    private readonly object: StoredObject,
    private readonly archive: FramedArchive,
    /** The same where it is encrypted. */
    private readonly sealed: OpenArchive | null,
    private readonly ref: Pick<ArchiveObjects, 'sizeBytes' | 'sha256'>,
  ) {}

  /** What a copy of it under another key has in common with it. */
  get form(): Pick<ArchiveWriterOptions, 'context' | 'codec' | 'payloadType' | 'segmentSize'> {
    const { codec, payloadType, manifest: { tenant, backup } } = this.archive;
    if (this.sealed !== null) return { context: this.sealed.header.context, codec, payloadType, segmentSize: this.sealed.header.segmentSize };
    return { context: { tenant: tenant.id, backup: backup.id, label: backup.label, createdAt: backup.createdAt }, codec, payloadType };
  }

  get manifest(): ArchiveManifest {
    return this.archive.manifest;
  }

  /** Of the whole payload, in order. */
  frames(): AsyncIterable<ArchiveFrame> {
    return this.archive.payloadFrames();
  }

  /** As the backup was when it was taken. */
  get origin(): { readonly trigger: string; readonly scope: string } {
    return this.archive.manifest.backup;
  }

  /** Hex, as the manifest has it. */
  get payloadSha256(): string {
    return this.archive.manifest.payload.sha256;
  }

  get compressedBytes(): number {
    return this.archive.manifest.payload.compressedBytes;
  }

  /** For whoever has verified the archive. */
  get provenance(): Provenance {
    const { payload, consistency, engine } = this.archive.manifest;
    return { rawBytes: payload.bytes, consistency: consistency.level === 'snapshot' ? 'SNAPSHOT' : 'FUZZY', clusterTime: consistency.clusterTime, engineVersion: engine.version };
  }

  /** For whoever has verified the archive. */
  get payload(): PayloadSource {
    const { archive } = this;
    return { namespaces: this.namespaces, fuzzy: fuzzyNames(archive.manifest), payload: () => archive.payload({ lent: true }) };
  }

  /** Names of the collections that it is a backup of; null: of the whole database. */
  get partOf(): readonly string[] | null {
    return this.archive.manifest.backup.collections ?? null;
  }

  /** For whoever has verified the selection. */
  select(names: ReadonlySet<string>): PayloadSource {
    const { archive } = this;
    return { namespaces: this.namespaces.filter(({ name }) => names.has(name)), fuzzy: fuzzyNames(archive.manifest), payload: () => archive.selection(names, { lent: true }) };
  }

  get namespaces(): readonly NamespaceSummary[] {
    return this.archive.manifest.namespaces.map((namespace) => ({ ...namespace, sum: namespace.sum ?? '' }));
  }

  /** Bytes of the file that it takes to open it and to read these collections. */
  bytesOf(names: ReadonlySet<string>): number {
    return this.archive.selectionBytes(names);
  }

  /** The compressed stream; of an encrypted archive each piece has passed its tag. */
  compressed(): AsyncIterable<Buffer> {
    return this.archive.compressed();
  }

  /** Definitions from the first frame, counts from the manifest; nothing else is read. */
  async definitions(): Promise<readonly ArchivedNamespace[]> {
    for (const event of new MongodumpParser().push(await this.archive.prelude())) {
      if (event.type === 'prelude') return definitionsOf(event.collections, this.namespaces);
    }
    throw new AppError('ARCHIVE_CORRUPT', 'The archive does not begin with its definitions');
  }

  /**
   * Reads every byte twice: the file for its hash, the payload for its tags, format, counts and sums.
   *
   * @throws AppError ARCHIVE_*
   */
  async verify(work: Pick<Work, 'signal' | 'report'>, onDocuments?: OnDocuments): Promise<void> {
    const fileBytes = this.ref.sizeBytes;
    const { bytes: payloadBytes } = this.archive.manifest.payload;
    const report = (bytesDone: number): void => {
      work.signal.throwIfAborted();
      work.report({ bytesDone, bytesTotal: fileBytes + payloadBytes, itemsDone: 0, itemsTotal: null, current: null });
    };
    await this.requireHash(report);
    await verifyArchive(this.archive, ({ bytesDone }) => report(fileBytes + bytesDone), onDocuments);
  }

  /**
   * Reads every byte once, for its hash: enough where all else of a file with this hash was found right before.
   *
   * @throws AppError ARCHIVE_REPLACED
   */
  async verifyHash(work: Pick<Work, 'signal' | 'report'>): Promise<void> {
    await this.requireHash((bytesDone) => {
      work.signal.throwIfAborted();
      work.report({ bytesDone, bytesTotal: this.ref.sizeBytes, itemsDone: 0, itemsTotal: null, current: null });
    });
  }

  /**
   * Reads header, trailer, definitions and the frames of these collections: tags, format, counts and sums. Of an archive that is not encrypted nothing
   * proves a part, so all of it is read for its hash. Returns the bytes of the file that this took.
   *
   * @throws AppError ARCHIVE_*
   */
  async verifySelection(names: ReadonlySet<string>, work: Pick<Work, 'signal' | 'report'>, onDocuments?: OnDocuments): Promise<number> {
    const hashedBytes = this.sealed === null ? this.ref.sizeBytes : 0;
    const bytesTotal = this.namespaces.reduce((sum, { name, bytes }) => (names.has(name) ? sum + bytes : sum), hashedBytes);
    const report = (bytesDone: number): void => {
      work.signal.throwIfAborted();
      work.report({ bytesDone: Math.min(bytesDone, bytesTotal), bytesTotal, itemsDone: 0, itemsTotal: null, current: null });
    };
    if (this.sealed === null) await this.requireHash(report);
    await verifySelection(this.archive, names, ({ bytesDone }) => report(hashedBytes + bytesDone), onDocuments);
    return this.sealed === null ? this.ref.sizeBytes : this.archive.selectionBytes(names);
  }

  close(): Promise<void> {
    return this.archive.close();
  }

  private async requireHash(report: (bytes: number) => void): Promise<void> {
    let hashed = 0;
    const sha256 = await sha256Of(this.object, (bytes) => report((hashed += bytes)));
    if (sha256 !== this.ref.sha256) throw new AppError('ARCHIVE_REPLACED', 'The SHA-256 of the stored file is not that of the file that was written');
  }
}

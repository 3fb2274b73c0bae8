import { AppError } from '#errors';
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { ByteReader } from '../byte-reader.js';
import { selectPrelude } from '../select.js';
import type { ArchiveSource } from '../source.js';
import { decrypt, nonceType, tagBytes } from './cipher.js';
import { decompressFrame } from './codec.js';
import type { ArchiveHeader } from './header.js';
import { locateTrailer, readArchiveHeader, recordBytes, type ArchiveLayout } from './layout.js';
import type { ArchiveManifest } from './manifest.js';
import { brokenSegment, openTrailer, unlockArchive, type OpenOptions } from './open.js';

export interface ReadOptions {
  /** Frames decompressed side by side; default 4, more with more than four cores. */
  readonly parallelism?: number;
}

export interface ArchiveFrame {
  readonly namespaceIndex: number;
  readonly payload: Buffer;
}

/** Payload of frames that are decompressed ahead of the consumer. */
const readAheadBytes = 32 * 1024 * 1024;

interface FrameRange {
  readonly index: number;
  readonly namespaceIndex: number;
  readonly compressedStart: number;
  readonly compressedEnd: number;
  readonly payloadBytes: number;
}

/**
 * An archive whose key fits and whose trailer is authentic. Everything that the methods yield has passed its tag; only the end of `payload()`
 * says that the whole payload is what the manifest promises. All methods may be called again, and side by side.
 */
export class OpenArchive {
  constructor(
    private readonly source: ArchiveSource,
    readonly header: ArchiveHeader,
    readonly manifest: ArchiveManifest,
    private readonly layout: ArchiveLayout,
    private readonly archiveKey: Buffer,
  ) {}

  /** Frame 0: what the archive holds, without reading the rest. Throws ARCHIVE_CORRUPT. */
  async prelude(): Promise<Buffer> {
    const [first] = this.ranges();
    if (first === undefined) throw new AppError('ARCHIVE_CORRUPT', 'The archive is empty');
    for await (const { payload } of this.inflate([first], 1)) return payload;
    throw new AppError('ARCHIVE_CORRUPT', 'The archive has no first frame');
  }

  /**
   * The whole uncompressed payload, one chunk a frame. After the last chunk bytes and SHA-256 are compared with the
   * manifest: nothing is proven before the iteration has ended. Throws ARCHIVE_CORRUPT, ARCHIVE_TOO_LARGE.
   */
  async *payload(options: ReadOptions = {}): AsyncGenerator<Buffer, void, undefined> {
    for await (const frame of this.payloadFrames(options)) yield frame.payload;
  }

  /** As `payload`, with the namespace that each frame claims. */
  async *payloadFrames(options: ReadOptions = {}): AsyncGenerator<ArchiveFrame, void, undefined> {
    const hash = createHash('sha256');
    for await (const frame of this.inflate(this.ranges(), options.parallelism)) {
      hash.update(frame.payload);
      yield frame;
    }
    if (hash.digest('hex') !== this.manifest.payload.sha256) throw new AppError('ARCHIVE_CORRUPT', 'The archive is damaged: its payload differs from the manifest');
  }

  /** The frames of these namespaces (-1: the prelude), in archive order; only their byte ranges are read. */
  async *frames(namespaceIndexes: Iterable<number>, options: ReadOptions = {}): AsyncGenerator<ArchiveFrame, void, undefined> {
    const wanted = new Set(namespaceIndexes);
    yield* this.inflate(this.ranges().filter(({ namespaceIndex }) => wanted.has(namespaceIndex)), options.parallelism);
  }

  /** The payload of an archive that holds these collections alone; only their frames and the prelude are read. Throws ARCHIVE_CORRUPT. */
  async *selection(names: ReadonlySet<string>, options: ReadOptions = {}): AsyncGenerator<Buffer, void, undefined> {
    yield selectPrelude(await this.prelude(), names);
    for await (const frame of this.frames(this.indexesOf(names), options)) yield frame.payload;
  }

  /** Bytes of the file that `selection` reads, with the header and the trailer that were read to open it; each counts once. */
  selectionBytes(names: ReadonlySet<string>): number {
    const { header, layout, source } = this;
    const wanted = new Set([-1, ...this.indexesOf(names)]);
    const record = recordBytes(header);
    let bytes = header.sizeBytes + source.sizeBytes - layout.trailerOffset;
    let next = 0;
    for (const { namespaceIndex, compressedStart, compressedEnd } of this.ranges()) {
      if (!wanted.has(namespaceIndex)) continue;
      const first = Math.max(next, Math.floor(compressedStart / header.segmentSize));
      next = Math.floor((compressedEnd - 1) / header.segmentSize) + 1;
      bytes += Math.max(0, Math.min(next * record, layout.trailerOffset - header.sizeBytes) - first * record);
    }
    return bytes;
  }

  /** The decrypted compressed stream: what a `.gz` file of this backup holds. Throws ARCHIVE_CORRUPT. */
  async *compressed(): AsyncGenerator<Buffer, void, undefined> {
    yield* this.segments(0, this.layout.compressedBytes);
  }

  close(): Promise<void> {
    return this.source.close();
  }

  private indexesOf(names: ReadonlySet<string>): number[] {
    return this.manifest.namespaces.flatMap(({ name }, index) => (names.has(name) ? [index] : []));
  }

  private ranges(): FrameRange[] {
    const { frames, payload } = this.manifest;
    return frames.map(([compressedStart, payloadStart, namespaceIndex], index) => {
      const [compressedEnd, payloadEnd] = frames[index + 1] ?? [payload.compressedBytes, payload.bytes];
      return { index, namespaceIndex, compressedStart, compressedEnd, payloadBytes: payloadEnd - payloadStart };
    });
  }

  /** Decompresses frames on the thread pool, bounded in number and bytes, and yields them in order. */
  private async *inflate(ranges: readonly FrameRange[], parallelism = Math.min(Math.max(availableParallelism(), 4), 16)): AsyncGenerator<ArchiveFrame, void, undefined> {
    const ahead: { readonly range: FrameRange; readonly payload: Promise<Buffer> }[] = [];
    let aheadBytes = 0;
    const next = async (): Promise<ArchiveFrame> => {
      const { range, payload } = ahead.shift()!;
      aheadBytes -= range.payloadBytes;
      return { namespaceIndex: range.namespaceIndex, payload: await payload };
    };
    for await (const { range, compressed } of this.compressedFrames(ranges)) {
      while (ahead.length >= parallelism || (ahead.length > 0 && aheadBytes + range.payloadBytes > readAheadBytes)) yield await next();
      const payload = decompressFrame(this.header.codec, compressed, range.payloadBytes);
      payload.catch(() => undefined);
      ahead.push({ range, payload });
      aheadBytes += range.payloadBytes;
    }
    while (ahead.length > 0) yield await next();
  }

  private async *compressedFrames(ranges: readonly FrameRange[]): AsyncGenerator<{ readonly range: FrameRange; readonly compressed: Buffer }, void, undefined> {
    let position = 0;
    while (position < ranges.length) {
      // Frames that follow one another are read in one go.
      let end = position + 1;
      while (end < ranges.length && ranges[end]!.compressedStart === ranges[end - 1]!.compressedEnd) end += 1;
      const reader = new ByteReader(this.segments(ranges[position]!.compressedStart, ranges[end - 1]!.compressedEnd));
      try {
        for (; position < end; position += 1) {
          const range = ranges[position]!;
          yield { range, compressed: await reader.take(range.compressedEnd - range.compressedStart) };
        }
      } finally {
        await reader.close();
      }
    }
  }

  /** The compressed stream from `start` up to, not including, `end`; only the segments in between are read. */
  private async *segments(start: number, end: number): AsyncGenerator<Buffer, void, undefined> {
    if (end <= start) return;
    const { segmentSize } = this.header;
    const record = recordBytes(this.header);
    const first = Math.floor(start / segmentSize);
    const last = Math.floor((end - 1) / segmentSize);
    const from = this.header.sizeBytes + first * record;
    const reader = new ByteReader(this.source.stream(from, Math.min(this.header.sizeBytes + (last + 1) * record, this.layout.trailerOffset)));
    try {
      for (let index = first; index <= last; index += 1) {
        const length = Math.min(segmentSize, this.layout.compressedBytes - index * segmentSize) + tagBytes;
        const bytes = await reader.take(4 + length);
        if (bytes.length < 4 + length) throw new AppError('ARCHIVE_TRUNCATED', `The archive ends inside segment ${index}`);
        if (bytes.readUInt32BE() !== length) throw brokenSegment(index);
        const plain = decrypt(this.archiveKey, nonceType.segment, index, bytes.subarray(4));
        if (plain === null) throw brokenSegment(index);
        yield plain.subarray(index === first ? start - first * segmentSize : 0, index === last ? end - last * segmentSize : plain.length);
      }
    } finally {
      await reader.close();
    }
  }
}

/**
 * Opens an archive: header, tenant, key and trailer are checked before it returns. The source stays the caller's until
 * then; afterwards `close()` closes it. Throws ARCHIVE_UNSUPPORTED, ARCHIVE_FOREIGN, ARCHIVE_REPLACED, KEY_UNKNOWN,
 * KEY_MISMATCH, ARCHIVE_TRUNCATED, ARCHIVE_CORRUPT, ARCHIVE_TOO_LARGE.
 */
export async function openArchive(source: ArchiveSource, options: OpenOptions): Promise<OpenArchive> {
  const header = await readArchiveHeader(source);
  const archiveKey = unlockArchive(header, options);
  const layout = await locateTrailer(source, header);
  const manifest = await openTrailer(archiveKey, header, layout, await source.read(layout.trailerOffset + 4, layout.trailerBytes));
  return new OpenArchive(source, header, manifest, layout, archiveKey);
}

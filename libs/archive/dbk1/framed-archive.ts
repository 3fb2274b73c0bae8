import { AppError } from '#errors';
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { ByteReader } from '../byte-reader.js';
import { release } from '../release.js';
import { selectPrelude } from '../select.js';
import { decompressFrame } from './codec.js';
import type { Codec, PayloadType } from './header.js';
import type { ArchiveManifest } from './manifest.js';

export interface ReadOptions {
  /** Frames decompressed side by side; default 4, more with more than four cores. */
  readonly parallelism?: number;
  /** True: the memory of a frame is given back when the next one is asked for. Whoever reads must have copied what is still needed. */
  readonly lent?: boolean;
}

export interface ArchiveFrame {
  readonly namespaceIndex: number;
  readonly payload: Buffer;
}

/** Payload of frames that are decompressed ahead of the consumer. */
const readAheadBytes = 32 * 1024 * 1024;

export interface FrameRange {
  readonly namespaceIndex: number;
  readonly compressedStart: number;
  readonly compressedEnd: number;
  readonly payloadBytes: number;
}

/**
 * An archive whose manifest is known and may be trusted. Only the end of `payload()` says that the whole payload is what the manifest promises. All
 * methods may be called again, and side by side.
 */
export abstract class FramedArchive {
  abstract readonly codec: Codec;
  abstract readonly payloadType: PayloadType;

  constructor(readonly manifest: ArchiveManifest) {}

  /** Bytes of the file that `selection` reads, with what was read to open it; each counts once. */
  abstract selectionBytes(names: ReadonlySet<string>): number;
  abstract close(): Promise<void>;
  /**
   * The compressed stream from `start` up to, not including, `end`; only what lies in between is read. Of what is `lent` the memory may be given back when the next
   * piece is asked for.
   */
  protected abstract stream(start: number, end: number, lent?: boolean): AsyncGenerator<Buffer, void, undefined>;

  /** Frame 0: what the archive holds, without reading the rest. Throws ARCHIVE_CORRUPT. */
  async prelude(): Promise<Buffer> {
    const [first] = this.ranges();
    if (first === undefined) throw new AppError('ARCHIVE_CORRUPT', 'The archive is empty');
    for await (const { payload } of this.inflate([first], { parallelism: 1 })) return payload;
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
    for await (const frame of this.inflate(this.ranges(), options)) {
      hash.update(frame.payload);
      yield frame;
    }
    if (hash.digest('hex') !== this.manifest.payload.sha256) throw new AppError('ARCHIVE_CORRUPT', 'The archive is damaged: its payload differs from the manifest');
  }

  /** The frames of these namespaces (-1: the prelude), in archive order; only their byte ranges are read. */
  async *frames(namespaceIndexes: Iterable<number>, options: ReadOptions = {}): AsyncGenerator<ArchiveFrame, void, undefined> {
    const wanted = new Set(namespaceIndexes);
    yield* this.inflate(this.ranges().filter(({ namespaceIndex }) => wanted.has(namespaceIndex)), options);
  }

  /** The payload of an archive that holds these collections alone; only their frames and the prelude are read. Throws ARCHIVE_CORRUPT. */
  async *selection(names: ReadonlySet<string>, options: ReadOptions = {}): AsyncGenerator<Buffer, void, undefined> {
    yield selectPrelude(await this.prelude(), names);
    for await (const frame of this.frames(this.indexesOf(names), options)) yield frame.payload;
  }

  /** The compressed stream: what a `.gz` file of this backup holds. Throws ARCHIVE_CORRUPT. */
  compressed(): AsyncGenerator<Buffer, void, undefined> {
    return this.stream(0, this.manifest.payload.compressedBytes);
  }

  /** Where the prelude and the frames of these collections lie in the compressed stream. */
  protected selectedRanges(names: ReadonlySet<string>): FrameRange[] {
    const wanted = new Set([-1, ...this.indexesOf(names)]);
    return this.ranges().filter(({ namespaceIndex }) => wanted.has(namespaceIndex));
  }

  private indexesOf(names: ReadonlySet<string>): number[] {
    return this.manifest.namespaces.flatMap(({ name }, index) => (names.has(name) ? [index] : []));
  }

  private ranges(): FrameRange[] {
    const { frames, payload } = this.manifest;
    return frames.map(([compressedStart, payloadStart, namespaceIndex], index) => {
      const [compressedEnd, payloadEnd] = frames[index + 1] ?? [payload.compressedBytes, payload.bytes];
      return { namespaceIndex, compressedStart, compressedEnd, payloadBytes: payloadEnd - payloadStart };
    });
  }

  private async *inflate(ranges: readonly FrameRange[], { parallelism, lent = false }: ReadOptions): AsyncGenerator<ArchiveFrame, void, undefined> {
    for await (const frame of this.inflateAhead(ranges, parallelism)) {
      yield frame;
      if (lent) release(frame.payload);
    }
  }

  /** Decompresses frames on the thread pool, bounded in number and bytes, and yields them in order. */
  private async *inflateAhead(ranges: readonly FrameRange[], parallelism = Math.min(Math.max(availableParallelism(), 4), 16)): AsyncGenerator<ArchiveFrame, void, undefined> {
    const ahead: { readonly range: FrameRange; readonly payload: Promise<Buffer> }[] = [];
    let aheadBytes = 0;
    const next = async (): Promise<ArchiveFrame> => {
      const { range, payload } = ahead.shift()!;
      aheadBytes -= range.payloadBytes;
      return { namespaceIndex: range.namespaceIndex, payload: await payload };
    };
    for await (const { range, compressed } of this.compressedFrames(ranges)) {
      while (ahead.length >= parallelism || (ahead.length > 0 && aheadBytes + range.payloadBytes > readAheadBytes)) yield await next();
      const payload = this.decompress(compressed, range.payloadBytes);
      payload.catch(() => undefined);
      ahead.push({ range, payload });
      aheadBytes += range.payloadBytes;
    }
    while (ahead.length > 0) yield await next();
  }

  /** Gives the memory of `compressed` back: zlib would keep it until V8 collects its old generation. */
  private async decompress(compressed: Buffer, payloadBytes: number): Promise<Buffer> {
    try {
      return await decompressFrame(this.codec, compressed, payloadBytes);
    } finally {
      if (this.codec !== 'none') release(compressed);
    }
  }

  private async *compressedFrames(ranges: readonly FrameRange[]): AsyncGenerator<{ readonly range: FrameRange; readonly compressed: Buffer }, void, undefined> {
    let position = 0;
    while (position < ranges.length) {
      // Frames that follow one another are read in one go.
      let end = position + 1;
      while (end < ranges.length && ranges[end]!.compressedStart === ranges[end - 1]!.compressedEnd) end += 1;
      const reader = new ByteReader(this.stream(ranges[position]!.compressedStart, ranges[end - 1]!.compressedEnd, true));
      try {
        for (; position < end; position += 1) {
          const range = ranges[position]!;
          yield { range, compressed: await reader.takeCopy(range.compressedEnd - range.compressedStart) };
        }
      } finally {
        await reader.close();
      }
    }
  }
}

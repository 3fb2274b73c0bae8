import { AppError } from '#errors';
import { ByteReader } from '../byte-reader.js';
import { decrypt, nonceType, tagBytes } from './cipher.js';
import { maxHeaderBytes, parseHeader, type ArchiveHeader } from './header.js';
import { footerBytes, minSealedBytes, parseFooter, trailerFlag } from './layout.js';
import { maxTrailerBytes, type ArchiveManifest } from './manifest.js';
import { brokenSegment, openTrailer, unlockArchive, type OpenOptions } from './open.js';

/**
 * Reads an archive that can only be read once, from its first byte on. `compressed()` yields segments that have passed their tag; whether they are
 * all of them is known only when it has ended without an error, and `manifest` is there only then.
 */
export class StreamedArchive {
  private verified: ArchiveManifest | null = null;

  private constructor(
    private readonly reader: ByteReader,
    readonly header: ArchiveHeader,
    private readonly input: ByteReader,
  ) {}

  /** Throws ARCHIVE_UNSUPPORTED, ARCHIVE_TRUNCATED, ARCHIVE_CORRUPT. */
  static async begin(input: AsyncIterable<Buffer>): Promise<StreamedArchive> {
    const reader = new ByteReader(input);
    // A header tells its own length, so it is read as far as needed; most archives are longer than the longest header.
    try {
      const start = Buffer.from(await reader.take(maxHeaderBytes));
      const header = parseHeader(start);
      return new StreamedArchive(new ByteReader(prepend(start.subarray(header.sizeBytes), reader)), header, reader);
    } catch (error) {
      await reader.close();
      throw error;
    }
  }

  /** Lets go of the input; the end of `compressed()` does it too. */
  close(): Promise<void> {
    return this.input.close();
  }

  /** Of the trailer; throws before `compressed()` has ended. */
  get manifest(): ArchiveManifest {
    if (this.verified === null) throw new Error('The trailer has not been read yet');
    return this.verified;
  }

  /** The decrypted compressed stream; may be called once. Throws the codes of openArchive. */
  async *compressed(options: OpenOptions): AsyncGenerator<Buffer, void, undefined> {
    const { segmentSize, sizeBytes } = this.header;
    let segments = 0;
    let compressedBytes = 0;
    let offset = sizeBytes;
    let isLast = false;
    try {
      const archiveKey = unlockArchive(this.header, options);
      for (;;) {
        const word = (await this.exactly(4, 'before its trailer')).readUInt32BE();
        if (word >= trailerFlag) {
          const sealedBytes = word - trailerFlag;
          if (sealedBytes < minSealedBytes || sealedBytes > maxTrailerBytes) throw corrupt(`the trailer claims ${sealedBytes} bytes`);
          const sealed = Buffer.from(await this.exactly(sealedBytes, 'inside its trailer'));
          const manifest = await openTrailer(archiveKey, this.header, { segments, compressedBytes }, sealed);
          if (parseFooter(await this.exactly(footerBytes, 'inside its footer')) !== offset) throw corrupt('its footer does not point to its trailer');
          if ((await this.reader.take(1)).length > 0) throw corrupt('bytes follow its footer');
          this.verified = manifest;
          return;
        }
        if (isLast) throw corrupt(`segment ${segments - 1} is short, but not the last`);
        if (word < minSealedBytes || word > segmentSize + tagBytes) throw corrupt(`segment ${segments} claims ${word} bytes`);
        const plain = decrypt(archiveKey, nonceType.segment, segments, await this.exactly(word, `inside segment ${segments}`));
        if (plain === null) throw brokenSegment(segments);
        isLast = plain.length < segmentSize;
        segments += 1;
        compressedBytes += plain.length;
        offset += 4 + word;
        yield plain;
      }
    } finally {
      await this.close();
    }
  }

  private async exactly(length: number, where: string): Promise<Buffer> {
    const bytes = await this.reader.take(length);
    if (bytes.length < length) throw new AppError('ARCHIVE_TRUNCATED', `The archive ends ${where}`);
    return bytes;
  }
}

const corrupt = (reason: string): AppError => new AppError('ARCHIVE_CORRUPT', `The archive is damaged: ${reason}`);

async function* prepend(start: Buffer, reader: ByteReader): AsyncGenerator<Buffer, void, undefined> {
  yield start;
  for (;;) {
    const bytes = await reader.take(1 << 16);
    if (bytes.length === 0) return;
    yield bytes;
  }
}

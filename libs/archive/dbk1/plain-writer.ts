import { FrameWriter } from './frame-writer.js';
import type { ArchiveManifest, ManifestInput } from './manifest.js';

export interface PlainArchiveSummary {
  readonly sizeBytes: number;
  /** Hex SHA-256 of the whole file. */
  readonly sha256: string;
  /** For `encodeManifest`: the file has no place for it. */
  readonly manifest: ArchiveManifest;
}

/** Writes the compressed stream of an archive as it is, without encryption: a file for the public tools. Its manifest has to be kept elsewhere. */
export class PlainArchiveWriter extends FrameWriter {
  /** Resolves when the destination has taken every byte. */
  async finish(input: ManifestInput): Promise<PlainArchiveSummary> {
    const manifest = await this.endFrames(input, () => 0);
    const ended = await this.end();
    return { ...ended, manifest };
  }

  protected override async append(bytes: Buffer): Promise<void> {
    for (let position = 0; position < bytes.length; ) {
      const copied = bytes.copy(this.batch, this.batchFill, position);
      position += copied;
      this.batchFill += copied;
      if (this.batchFill === this.batch.length) await this.flush();
    }
  }
}

import { Writable } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import { ArchiveWriter, type ArchiveWriterOptions, type FrameWriterOptions, type ManifestInput, PlainArchiveWriter } from '#archive';
import { AppError } from '#errors';
import type { DumpResult, FrameSink, Work } from '#engines';
import type { ArchiveStore, ObjectUpload } from '#storage';
import { EncryptionService } from '../encryption/encryption.service.js';
import { ARCHIVE_STORE } from '../platform/storage/storage.module.js';
import type { OwnRef } from './archive-files.js';
import { writeManifest } from './archive-objects.js';
import type { BackupWork } from './backup-work.js';
import type { BackupEntity, Codec } from './backup.entity.js';

// The archive's manifest names who wrote it; readers ignore the value.
const producer = { name: 'holdfast', version: '0.1.0' } as const;

export interface Recording {
  readonly work: BackupWork;
  readonly backup: BackupEntity;
  readonly tenant: { readonly id: string; readonly slug: string; readonly name: string; readonly engine: string };
  /** The archive may grow to this size; null: without limit. */
  readonly quotaLeftBytes: number | null;
  readonly dump: (sink: FrameSink, work: Work) => Promise<DumpResult>;
}

export interface WrittenArchive {
  readonly ref: OwnRef;
  readonly keyId: string | null;
  readonly rawBytes: number;
  readonly dump: DumpResult;
}

const archiveCodecs = { NONE: 'none', GZIP: 'gzip', ZSTD: 'zstd' } as const satisfies Record<Codec, string>;

/** What a writer tells of the archive that it has finished; the rest of its `ref` is known before. */
interface Finished {
  readonly ref: Pick<OwnRef, 'sizeBytes' | 'sha256'> & ({ readonly salt: string; readonly manifestSha256: null } | { readonly salt: null; readonly manifestSha256: string });
  readonly rawBytes: number;
}

/** The writer of one archive, and how it is finished. */
interface ArchivePen {
  readonly writer: Pick<ArchiveWriter, 'writeFrame' | 'abort'>;
  readonly finish: (manifest: ManifestInput) => Promise<Finished>;
}

/** Writes one archive into the store, encrypted if its row says so. */
@Injectable()
export class ArchiveRecorder {
  constructor(
    private readonly encryption: EncryptionService,
    @Inject(ARCHIVE_STORE) private readonly store: ArchiveStore,
  ) {}

  /** DUMP and FINALIZE. A failure leaves nothing visible in the store but, at most, a manifest without its archive, and removes what it can of the rest. */
  async record(recording: Recording): Promise<WrittenArchive> {
    const { work, backup, tenant } = recording;
    const { storeKey } = backup;
    if (storeKey === null) throw new AppError('INTERNAL', 'The backup has no place in the store');
    const createdAt = backup.createdAt.toISOString();
    const sealing = backup.encrypted ? this.encryption.sealingKey(backup.tenantId) : null;
    await this.store.discardIncomplete(storeKey);
    const upload = await this.store.create(storeKey);
    const destination = metered(upload, recording.quotaLeftBytes);
    const framing = { codec: archiveCodecs[backup.codec], payloadType: 'mongodump' } as const;
    const context = { tenant: backup.tenantId, backup: backup.id, label: backup.label, createdAt };
    const { writer, finish } = sealing === null ? this.plainPen(destination, framing, storeKey, work) : sealedPen(destination, { ...framing, ...sealing, context });
    const stop = (): void => writer.abort(work.signal.reason);
    work.signal.addEventListener('abort', stop, { once: true });
    try {
      work.signal.throwIfAborted();
      const sink: FrameSink = {
        writeFrame: async (namespaceIndex, payload) => {
          await writer.writeFrame(namespaceIndex, payload);
          await work.faultPoint(namespaceIndex < 0 ? 'backup.prelude' : 'backup.dump');
        },
      };
      const dump = await recording.dump(sink, work);
      await work.enter('FINALIZE');
      await work.faultPoint('backup.finalize');
      const { ref, rawBytes } = await finish({
        producer,
        tenant: { id: tenant.id, slug: tenant.slug, name: tenant.name },
        backup: { id: backup.id, label: backup.label, trigger: backup.trigger, scope: backup.scope, createdAt, ...(backup.collections === null ? {} : { collections: backup.collections }) },
        engine: { name: tenant.engine.toLowerCase(), version: dump.engineVersion, featureCompatibility: dump.featureCompatibility },
        consistency: { level: dump.consistency, clusterTime: dump.clusterTime },
        namespaces: dump.namespaces,
      });
      work.signal.throwIfAborted();
      await requireOurs(work);
      await upload.commit();
      return { ref: { ...ref, storeKey, archiveId: backup.id, keyTenantId: null }, keyId: sealing?.keyId ?? null, rawBytes, dump };
    } catch (error) {
      writer.abort(error);
      await upload.abort();
      throw error;
    } finally {
      work.signal.removeEventListener('abort', stop);
    }
  }

  private plainPen(destination: Writable, framing: FrameWriterOptions, storeKey: string, work: BackupWork): ArchivePen {
    const writer = new PlainArchiveWriter(destination, framing);
    const finish = async (input: ManifestInput): Promise<Finished> => {
      const { sizeBytes, sha256, manifest } = await writer.finish(input);
      // Before the archive is visible: one that is there has its manifest.
      const manifestSha256 = await writeManifest(this.store, storeKey, manifest, work.signal, () => requireOurs(work));
      return { ref: { sizeBytes, sha256, salt: null, manifestSha256 }, rawBytes: manifest.payload.bytes };
    };
    return { writer, finish };
  }
}

/** A worker that has lost its operation without knowing it must not put its file in the place of the next one's. @throws AppError LEASE_LOST */
function requireOurs(work: BackupWork): Promise<void> {
  return work.fenced(() => Promise.resolve());
}

function sealedPen(destination: Writable, options: ArchiveWriterOptions): ArchivePen {
  const writer = new ArchiveWriter(destination, options);
  const finish = async (input: ManifestInput): Promise<Finished> => {
    const { sizeBytes, sha256, salt, payloadBytes } = await writer.finish(input);
    return { ref: { sizeBytes, sha256, salt, manifestSha256: null }, rawBytes: payloadBytes };
  };
  return { writer, finish };
}

/** Passes everything on until the quota is used up. */
function metered(upload: ObjectUpload, limitBytes: number | null): Writable {
  if (limitBytes === null) return upload.body;
  let written = 0;
  const meter = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written += chunk.length;
      if (written > limitBytes) done(new AppError('STORAGE_QUOTA_EXCEEDED', "The backup does not fit into what is left of the workspace's storage quota"));
      else upload.body.write(chunk, done);
    },
  });
  upload.body.on('error', (error) => meter.destroy(error));
  return meter;
}

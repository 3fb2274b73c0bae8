import { Injectable } from '@nestjs/common';
import { type ArchiveSource, type CollectionMeta, mongodumpMagic, MongodumpParser, openArchive, openPlainArchive, readArchiveHeader, sniffArchive } from '#archive';
import { requireRestorable } from '#engines';
import { AppError } from '#errors';
import { EncryptionService } from '../encryption/encryption.service.js';
import type { Codec } from './backup.entity.js';

/** What the bytes of a file from outside turned out to be; plain JSON. */
export interface ArchiveFacts {
  readonly codec: Codec;
  /** Null, like the following ones, for an archive that is not encrypted. */
  readonly keyId: string | null;
  readonly salt: string | null;
  readonly archiveId: string | null;
  /** ISO 8601. */
  readonly takenAt: string | null;
}

const codecs = { none: 'NONE', gzip: 'GZIP', zstd: 'ZSTD' } as const;
const sqlStart = /^\s*(--|\/\*|#|(create|insert|drop|set|begin|start|use|pragma|lock|alter|delete|update)\b)/i;
const sniffedBytes = 512;

/** Looks at files from outside: by their bytes, never by their names. */
@Injectable()
export class ArchiveInspection {
  constructor(private readonly encryption: EncryptionService) {}

  /**
   * Reads an archive's ends, or a plain one's definitions; `keyTenantId` is the tenant whose archive it must be.
   *
   * @throws AppError ARCHIVE_*, KEY_*, STAGE_REJECTED
   */
  async inspect(source: ArchiveSource, keyTenantId: string, targetDatabase: string): Promise<ArchiveFacts> {
    const start = await source.read(0, Math.min(source.sizeBytes, sniffedBytes));
    const format = sniffArchive(start);
    switch (format) {
      case 'dbk1':
        return this.inspectSealed(source, keyTenantId, targetDatabase);
      case 'mongodump':
      case 'gzip':
      case 'zstd': {
        const archive = await openPlainArchive(source);
        requireRestorable(await plainDefinitions(archive.payload()), targetDatabase);
        return { codec: codecs[archive.codec], keyId: null, salt: null, archiveId: null, takenAt: null };
      }
      case 'pgdump':
      case 'unknown':
        throw notForUs(start);
    }
  }

  private async inspectSealed(source: ArchiveSource, keyTenantId: string, targetDatabase: string): Promise<ArchiveFacts> {
    const { payloadType } = await readArchiveHeader(source);
    if (payloadType !== 'mongodump') throw new AppError('ARCHIVE_UNSUPPORTED', `The archive holds a payload of type ${payloadType}, which no engine of this version restores`);
    const archive = await openArchive(source, { keys: this.encryption.keyRing, tenantId: keyTenantId });
    requireRestorable(definitionsIn(new MongodumpParser(), await archive.prelude()) ?? [], targetDatabase);
    const { codec, keyId, salt, context } = archive.header;
    const takenAt = new Date(context.createdAt);
    return { codec: codecs[codec], keyId, salt, archiveId: context.backup, takenAt: Number.isNaN(takenAt.getTime()) ? null : takenAt.toISOString() };
  }
}

async function plainDefinitions(payload: AsyncIterable<Buffer>): Promise<readonly CollectionMeta[]> {
  const parser = new MongodumpParser();
  let isFirst = true;
  for await (const chunk of payload) {
    if (chunk.length === 0) continue;
    if (isFirst && chunk.length >= mongodumpMagic.length && sniffArchive(chunk) !== 'mongodump') throw notForUs(chunk.subarray(0, sniffedBytes));
    isFirst = false;
    const found = definitionsIn(parser, chunk);
    if (found !== null) return found;
  }
  parser.end();
  return [];
}

function definitionsIn(parser: MongodumpParser, bytes: Buffer): readonly CollectionMeta[] | null {
  for (const event of parser.push(bytes)) if (event.type === 'prelude') return event.collections;
  return null;
}

function notForUs(start: Buffer): AppError {
  if (sniffArchive(start) === 'pgdump') return new AppError('ARCHIVE_UNSUPPORTED', 'The file is a dump of PostgreSQL (pg_dump), an engine that this version does not have');
  if (sqlStart.test(start.toString('latin1').replace(/^\xef\xbb\xbf/, ''))) return new AppError('ARCHIVE_UNSUPPORTED', 'The file is an SQL script, for an engine that this version does not have');
  return new AppError('ARCHIVE_UNSUPPORTED', 'The file is no archive that Holdfast knows');
}

/** What the name alone tells, so that nobody sends gigabytes for nothing; the bytes decide in the end. */
export function requirePromisingName(fileName: string): void {
  if (/\.sql(\.(gz|zst|bz2|xz|zip))?$/i.test(fileName)) {
    throw new AppError('ARCHIVE_UNSUPPORTED', 'SQL files are for an engine that this version does not have', { field: ['filename'] });
  }
}

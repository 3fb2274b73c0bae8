import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { z } from 'zod';
import { compareDocuments, type DocumentDifferences } from '#archive';
import { AppError } from '#errors';
import { Permission } from '../access/permission.js';
import { archiveRefOf, ArchiveFiles } from '../backups/archive-files.js';
import { BackupsService, requireUsable } from '../backups/backups.service.js';
import { AppConfig } from '../config/app-config.js';
import type { JsonObject, OperationContext, OperationHandler } from '../operations/operation-handler.js';
import { OperationHandlers } from '../operations/operation-handlers.js';
import { compareArchives } from './compare-archives.js';

const compareInput = z.strictObject({ backupId: z.uuid(), otherBackupId: z.uuid(), collection: z.string().nullable() });
export type CompareInput = z.output<typeof compareInput>;

type Archive = Awaited<ReturnType<ArchiveFiles['openAny']>>;

const dayMs = 24 * 60 * 60 * 1000;
const mostExamples = 20;

/** Reads two stored archives from their ends, and of a collection that was named its frames. It changes nothing. */
@Injectable()
export class CompareHandler implements OperationHandler<CompareInput>, OnModuleInit {
  readonly kind = 'COMPARE';
  readonly exclusive = false;
  readonly restartable = true;
  readonly permission = Permission.BACKUP_CREATE;
  readonly deadlineMs = dayMs;
  readonly input = compareInput;
  readonly weights = { DEFINITIONS: 1, DOCUMENTS: 20 };

  constructor(
    private readonly handlers: OperationHandlers,
    private readonly config: AppConfig,
    private readonly backups: BackupsService,
    private readonly files: ArchiveFiles,
  ) {}

  onModuleInit(): void {
    this.handlers.register(this);
  }

  phases({ collection }: CompareInput): readonly string[] {
    return collection === null ? ['DEFINITIONS'] : ['DEFINITIONS', 'DOCUMENTS'];
  }

  async run(context: OperationContext<CompareInput>): Promise<JsonObject> {
    await context.enter('DEFINITIONS');
    const { backupId, otherBackupId, collection } = context.input;
    const first = await this.open(context, backupId);
    try {
      const other = await this.open(context, otherBackupId);
      try {
        const comparison = compareArchives(await endsOf(first, context), await endsOf(other, context));
        const documents = collection === null ? null : await this.compareDocuments(context, [first, other], collection);
        const read = new Set(collection === null ? [] : [collection]);
        return {
          type: 'CompareResult', backupId, otherBackupId,
          collections: comparison.collections.map((row) => ({ ...row, first: row.first && { ...row.first }, other: row.other && { ...row.other } })),
          notCompared: comparison.notCompared,
          documents: documents && { collection, tenantId: context.tenantId, ...documents },
          bytesRead: first.bytesOf(read) + other.bytesOf(read),
        };
      } finally {
        await other.close();
      }
    } finally {
      await first.close();
    }
  }

  /** It changed nothing, so it simply runs again. */
  recover(context: OperationContext<CompareInput>): Promise<JsonObject> {
    return this.run(context);
  }

  private async compareDocuments(context: OperationContext<CompareInput>, archives: readonly [Archive, Archive], collection: string): Promise<DocumentDifferences> {
    await context.enter('DOCUMENTS');
    await context.faultPoint('compare.documents');
    const folder = join(this.config.dataDir, 'compare');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const names = new Set([collection]);
    const sideOf = (archive: Archive): { readonly payload: AsyncIterable<Buffer>; readonly documents: number } => {
      const selected = archive.select(names);
      return { payload: selected.payload(), documents: selected.namespaces[0]?.documents ?? 0 };
    };
    const [first, other] = [sideOf(archives[0]), sideOf(archives[1])];
    const itemsTotal = first.documents + other.documents;
    return compareDocuments(first, other, {
      folder,
      mostExamples,
      signal: context.signal,
      onProgress: (itemsDone) => context.report({ bytesDone: 0, bytesTotal: null, itemsDone, itemsTotal, current: collection }),
    });
  }

  private async open(context: OperationContext<CompareInput>, id: string): Promise<Archive> {
    const backup = await this.backups.find(context, id);
    if (backup === null) throw new AppError('BACKUP_NOT_USABLE', 'The backup was deleted');
    requireUsable(backup);
    return this.files.openAny(context, archiveRefOf(backup));
  }
}

async function endsOf(archive: Archive, context: OperationContext<CompareInput>): Promise<Parameters<typeof compareArchives>[0]> {
  const definitions = await archive.definitions(context);
  return { definitions, summaries: archive.payload.namespaces, partOf: archive.partOf };
}

import { parseMongodump } from '#archive';
import { AppError } from '#errors';
import type { LeasedWork, PayloadSource, StagedDatabase, StagedNamespace } from '../port.js';
import { BatchBuilder } from './batches.js';
import { BatchWriter } from './batch-writer.js';
import type { MongodbContext } from './connection.js';
import { listOwn, uuidsByName } from './find-namespaces.js';
import { LeasedCommands } from './leased-commands.js';
import { requireTimeSeriesPrivileges } from './privileges.js';
import { requireRestorable } from './staged-names.js';
import { StagingGroups, type Staging } from './staging.js';

const connections = 4;
// Across all collections of an archive whose blocks interleave.
const pendingBytes = 16 * 1024 * 1024;

/**
 * Builds the archive's whole database beside the live one: of each collection the documents first, its indexes after them, nothing that expires. Time series
 * are built twice: as a trial that shows what the server thinks of them, and as a plain collection of their buckets, which SWAP copies.
 * Throws ARCHIVE_* and STAGE_REJECTED naming the collection.
 */
export async function stageArchive(context: MongodbContext, source: PayloadSource, work: LeasedWork): Promise<StagedDatabase> {
  const commands = new LeasedCommands(context, work);
  const writer = new BatchWriter(commands, connections);
  let groups: StagingGroups | null = null;
  try {
    const progress = progressOf(source, work);
    const builders = new Map<Staging, BatchBuilder>();
    const flush = async (item: Staging, batches: ReturnType<BatchBuilder['rest']>): Promise<void> => {
      for (const batch of batches) await writer.write(item.destinations, batch);
    };
    let pending = 0;
    // The source is verified, and CHECK compares what arrived with its sums.
    for await (const event of parseMongodump(source.payload(), { sums: false })) {
      work.signal.throwIfAborted();
      if (event.type === 'prelude') {
        requireRestorable(event.collections, context.db.databaseName);
        await requireTimeSeriesPrivileges(context, event.collections.filter(({ kind }) => kind === 'timeseries').map(({ collection }) => collection));
        groups = await StagingGroups.plan(commands, writer, event.collections, source.fuzzy ?? new Set(), work);
        continue;
      }
      const item = groups?.items[event.namespace.index];
      if (groups === null || item === undefined) throw new AppError('ARCHIVE_CORRUPT', 'The archive holds documents of a collection that it does not define');
      await groups.begin(item);
      if (event.type === 'end') {
        await flush(item, builders.get(item)?.rest() ?? new BatchBuilder().rest());
        builders.delete(item);
        item.isComplete = true;
        item.documents = event.documents;
        continue;
      }
      const builder = builders.get(item) ?? new BatchBuilder();
      builders.set(item, builder);
      await flush(item, builder.add(event.documents));
      pending += event.documents.length;
      if (pending > pendingBytes) {
        for (const [other, rest] of builders) await flush(other, rest.rest());
        pending = 0;
      }
      progress(item.meta.collection, event.documents.length, event.count);
    }
    await groups?.end();
    await commands.majority('waiting for the replicas');
    return await describe(commands, groups?.items ?? [], work);
  } finally {
    await writer.close();
  }
}

async function describe(commands: LeasedCommands, staging: readonly Staging[], work: LeasedWork): Promise<StagedDatabase> {
  const uuids = uuidsByName(await commands.repeat('listing what is staged', () => listOwn(commands.context, work.operationId, work.signal)));
  const namespaces = staging.map(({ meta, options, indexes, staged, destinations }): StagedNamespace => {
    const { collection: name, kind } = meta;
    if (kind === 'view') return { name, kind, staged: null, uuid: null, options, indexes };
    const uuid = uuids.get(staged);
    if (uuid === undefined) throw new AppError('STAGE_REJECTED', `The staged copy of collection "${name}" has disappeared`);
    const { documents = 0, bytes = 0, sum = '' } = destinations[0]?.repeated ?? {};
    return { name, kind, staged, uuid, options, indexes, ...(documents > 0 ? { repeated: { documents, bytes, sum } } : {}) };
  });
  return { namespaces, warnings: staging.flatMap(({ warnings }) => warnings) };
}

function progressOf(source: PayloadSource, work: LeasedWork): (current: string, bytes: number, documents: number) => void {
  const bytesTotal = source.namespaces.reduce((sum, { bytes }) => sum + bytes, 0);
  const itemsTotal = source.namespaces.reduce((sum, { documents }) => sum + documents, 0);
  let bytesDone = 0;
  let itemsDone = 0;
  return (current, bytes, documents) => {
    bytesDone += bytes;
    itemsDone += documents;
    work.report({ bytesDone, bytesTotal, itemsDone, itemsTotal, current });
  };
}

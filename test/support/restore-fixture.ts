import { gunzipSync } from 'node:zlib';
import { randomUUID } from 'node:crypto';
import type { Db } from 'mongodb';
import { DocumentSums, encodeNamespaceEnd, encodeNamespaceHeader, encodePrelude, parseMongodump, terminator } from '#archive';
import type { EngineSession, LeasedWork, NamespaceSummary, PayloadSource, StagedDatabase, SwapPlan } from '#engines';
import { binaryFixture } from './fixtures.ts';

export interface TestWork extends LeasedWork {
  readonly lines: string[];
}

/** A worker of the operation; a later one has a higher token. */
export function worker(operationId: string, fencingToken = 1, signal = new AbortController().signal): TestWork {
  const lines: string[] = [];
  return { signal, operationId, fencingToken, report: () => undefined, log: (line) => void lines.push(line), leaseRemainingMs: () => 20_000, lines };
}

export function newOperation(): string {
  return randomUUID();
}

/** The archive that the public tool wrote from a database of every shape. */
export function everyShape(): Promise<PayloadSource> {
  return sourceOf(gunzipSync(binaryFixture('mongodump/every-shape.archive.gz')));
}

export interface TestNamespace {
  readonly name: string;
  readonly kind?: 'collection' | 'view' | 'timeseries';
  readonly options?: string;
  readonly indexes?: readonly string[];
  readonly documents?: readonly Buffer[];
  readonly db?: string;
}

/** An archive of the test's own making. */
export function archiveOf(namespaces: readonly TestNamespace[]): Promise<PayloadSource> {
  const pieces: Buffer[] = [
    encodePrelude(
      { concurrentCollections: 1, version: '0.1', serverVersion: '6.0.5', toolVersion: 'test' },
      namespaces.map(({ name, kind = 'collection', options, indexes = [], db = 'source' }) => ({
        db,
        collection: name,
        kind,
        metadata: `{${options === undefined ? '' : `"options":${options},`}"indexes":[${indexes.join(',')}],"collectionName":${JSON.stringify(name)},"type":"${kind}"}`,
      })),
    ),
  ];
  for (const { name, kind, documents = [], db = 'source' } of namespaces) {
    const collection = kind === 'timeseries' ? `system.buckets.${name}` : name;
    const sums = new DocumentSums();
    for (const document of documents) sums.add(document);
    pieces.push(encodeNamespaceHeader(db, collection), Buffer.concat(documents), terminator, encodeNamespaceEnd(db, collection, sums.crc));
  }
  return sourceOf(Buffer.concat(pieces));
}

export async function sourceOf(payload: Buffer): Promise<PayloadSource> {
  async function* chunks(): AsyncGenerator<Buffer> {
    // Odd on purpose: blocks and documents end anywhere.
    for (let at = 0; at < payload.length; at += 999_983) yield payload.subarray(at, at + 999_983);
  }
  const namespaces: NamespaceSummary[] = [];
  for await (const event of parseMongodump(chunks())) {
    if (event.type !== 'end') continue;
    const { collection: name, kind } = event.namespace.meta;
    namespaces.push({ name, kind, documents: event.documents, bytes: event.bytes, crc64: event.crc, sum: event.sum, indexes: 0 });
  }
  return { namespaces, payload: chunks };
}

/** Everything up to the commit point. */
export async function planned(session: EngineSession, source: PayloadSource, work: LeasedWork): Promise<{ readonly staged: StagedDatabase; readonly plan: SwapPlan }> {
  const staged = await session.stage(source, work);
  await session.checkStage(staged, source, work);
  const plan = await session.planSwap(staged, await session.catalogue(), work);
  // As the journal would give it back.
  return JSON.parse(JSON.stringify({ staged, plan })) as { staged: StagedDatabase; plan: SwapPlan };
}

/** dbHash of each collection, without the names that the engine made and `system.views`, which holds the database's own name. */
export async function hashes(db: Db): Promise<Record<string, string>> {
  const { collections } = await db.command({ dbHash: 1 });
  return Object.fromEntries(Object.entries(collections as Record<string, string>).filter(([name]) => !name.startsWith('hf_') && name !== 'system.views').sort());
}

export async function namesIn(db: Db): Promise<string[]> {
  const found = await db.listCollections({}, { nameOnly: true }).toArray();
  return found.map(({ name }) => name).filter((name) => name !== 'system.views').sort();
}

import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { type ArchiveSource, ArchiveWriter, deriveTenantKey, KeyRing, openArchive, verifySelection } from '#archive';
import { type LeasedWork, MongodbEngine, type PayloadSource } from '#engines';
import { LocalArchiveStore } from '#storage';
import { sha256Of } from '../src/platform/storage/object-hash.ts';
import type { JobResult, JobTarget } from './job.ts';
import type { BenchCodec } from './options.ts';
import { peakMemoryOf } from './process-figures.ts';

const keys = KeyRing.parse(`bench:${Buffer.alloc(32, 7).toString('base64')}`);
const tenantId = '0b5e55ed-0000-4000-8000-000000000001';
const leaseMs = 20_000;

function work(): LeasedWork {
  return {
    signal: new AbortController().signal,
    report: () => undefined,
    log: () => undefined,
    operationId: randomUUID(),
    fencingToken: 1,
    leaseRemainingMs: () => leaseMs,
  };
}

/** Times one phase after the other. */
class Phases {
  private readonly began = performance.now();
  private readonly cpuBegan = process.cpuUsage();
  private readonly list: { name: string; ms: number }[] = [];

  async time<T>(name: string, step: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const result = await step();
    this.list.push({ name, ms: performance.now() - began });
    return result;
  }

  result(archiveBytes: number): JobResult {
    const { user, system } = process.cpuUsage(this.cpuBegan);
    return { ms: performance.now() - this.began, phases: this.list, cpuMs: (user + system) / 1000, peakBytes: peakMemoryOf('self'), archiveBytes, rates: [] };
  }
}

const archiveKey = (codec: BenchCodec): string => `bench/${codec}.archive`;

/** The engine alone: database to durable, encrypted archive. What the runtime adds (rows, read-back) is measured with whole operations. */
export async function engineBackup({ uri, database, folder }: JobTarget, codec: BenchCodec): Promise<JobResult> {
  const master = keys.current;
  if (master === null) throw new Error('The bench has no key');
  const phases = new Phases();
  const session = await phases.time('connect', () => new MongodbEngine().open({ uri, database }));
  try {
    const createdAt = new Date().toISOString();
    const upload = await new LocalArchiveStore(folder).create(archiveKey(codec));
    const writer = new ArchiveWriter(upload.body, {
      keyId: master.id,
      tenantKey: deriveTenantKey(master, tenantId),
      context: { tenant: tenantId, backup: 'bench', label: 'bench', createdAt },
      codec,
      payloadType: 'mongodump',
    });
    const dump = await phases.time('dump', () => session.dump(writer, {}, work()));
    const { sizeBytes } = await phases.time('finish', () =>
      writer.finish({
        producer: { name: 'holdfast', version: 'bench' },
        tenant: { id: tenantId, slug: 'bench', name: 'Bench' },
        backup: { id: 'bench', label: 'bench', trigger: 'MANUAL', scope: 'ALL', createdAt },
        engine: { name: 'mongodb', version: dump.engineVersion, featureCompatibility: dump.featureCompatibility },
        consistency: { level: dump.consistency, clusterTime: dump.clusterTime },
        namespaces: dump.namespaces,
      }),
    );
    await phases.time('fsync', () => upload.commit());
    return phases.result(sizeBytes);
  } finally {
    await session.close();
  }
}

/** The engine alone: encrypted archive to live database, whatever was live before dropped at the end. */
export async function engineRestore({ uri, database, folder }: JobTarget, codec: BenchCodec, number: number): Promise<JobResult> {
  const phases = new Phases();
  const session = await phases.time('connect', () => new MongodbEngine().open({ uri, database }));
  try {
    const object = await new LocalArchiveStore(folder).open(archiveKey(codec));
    const archive = await openArchive(object, { keys, tenantId });
    const leased = { ...work(), fencingToken: number };
    // As a restore does of a backup that was read back: hash first, tags and the payload's hash while it is staged.
    await phases.time('verify', () => sha256Of(object));
    const source: PayloadSource = {
      namespaces: archive.manifest.namespaces.map((namespace) => ({ ...namespace, sum: namespace.sum ?? '' })),
      payload: () => archive.payload({ lent: true }),
    };
    const expected = await session.namespaces();
    const staged = await phases.time('stage', () => session.stage(source, leased));
    await phases.time('check', () => session.checkStage(staged, source, leased));
    await phases.time('swap', async () => {
      const plan = await session.planSwap(staged, expected, leased);
      await session.swap(plan, leased);
      await session.dropOld(plan, leased);
    });
    const result = phases.result(object.sizeBytes);
    await archive.close();
    return result;
  } finally {
    await session.close();
  }
}

/** One collection of an archive, verified, staged and checked, then dropped: nothing of the rest of the file is read. */
export async function engineSelection({ uri, database, folder }: JobTarget, codec: BenchCodec, number: number, collection: string): Promise<JobResult> {
  const phases = new Phases();
  const session = await phases.time('connect', () => new MongodbEngine().open({ uri, database }));
  try {
    const object = await new LocalArchiveStore(folder).open(archiveKey(codec));
    const asked = { bytes: 0 };
    const archive = await openArchive(counted(object, asked), { keys, tenantId });
    const names = new Set([collection]);
    const leased = { ...work(), fencingToken: number };
    await phases.time('verify', () => verifySelection(archive, names));
    const source: PayloadSource = {
      namespaces: archive.manifest.namespaces.filter(({ name }) => names.has(name)).map((namespace) => ({ ...namespace, sum: namespace.sum ?? '' })),
      payload: () => archive.selection(names, { lent: true }),
    };
    const staged = await phases.time('stage', () => session.stage(source, leased));
    await phases.time('check', () => session.checkStage(staged, source, leased));
    const selection = {
      bytes: source.namespaces.reduce((sum, { bytes }) => sum + bytes, 0),
      ofBytes: archive.manifest.namespaces.reduce((sum, { bytes }) => sum + bytes, 0),
      bytesRead: archive.selectionBytes(names),
      bytesAsked: asked.bytes,
    };
    const result = { ...phases.result(object.sizeBytes), selection };
    await session.dropStage(leased.operationId, leased);
    await archive.close();
    return result;
  } finally {
    await session.close();
  }
}

/** Counts what is read of an archive. */
function counted(source: ArchiveSource, asked: { bytes: number }): ArchiveSource {
  return {
    sizeBytes: source.sizeBytes,
    read: async (offset, length) => {
      asked.bytes += length;
      return source.read(offset, length);
    },
    async *stream(start, end) {
      for await (const chunk of source.stream(start, end)) {
        asked.bytes += chunk.length;
        yield chunk;
      }
    },
    close: () => source.close(),
  };
}

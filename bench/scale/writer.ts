import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import type { ControlPlane } from '../control-plane.ts';
import type { JobTarget } from '../job.ts';

export interface WriterTimes {
  readonly during: string;
  readonly writes: number;
  readonly medianMs: number;
  readonly p95Ms: number;
  /** Of the backup's DUMP, as the database counts its documents. */
  readonly bytesPerSecond: number | null;
}

const collection = 'bench_writes';
/** One product's users: each write waits for its majority. */
const pauseMs = 10;
const idleMs = 10_000;
const unlimitedBackups = 4;
const limitBytesPerSecond = 20_000_000;

/** What one writer of the product feels: idle, during a backup at the default concurrency, and during one with a limit. */
export async function measureWriter(plane: ControlPlane, tenantId: string, target: JobTarget, dataBytes: number, say: (line: string) => void): Promise<WriterTimes[]> {
  const client = await MongoClient.connect(target.uri);
  const writes = client.db(target.database).collection<{ _id: number; text: string; revision: number }>(collection);
  try {
    await writes.insertMany(Array.from({ length: 1_000 }, (_, _id) => ({ _id, text: 'x'.repeat(400), revision: 0 })));
    const writing = async (until: Promise<unknown>): Promise<number[]> => {
      let isOver = false;
      until.then(() => (isOver = true), () => (isOver = true));
      const times: number[] = [];
      for (let number = 0; !isOver; number += 1) {
        const began = performance.now();
        await writes.updateOne({ _id: number % 1_000 }, { $inc: { revision: 1 } }, { writeConcern: { w: 'majority' } });
        times.push(performance.now() - began);
        await delay(pauseMs);
      }
      return times;
    };
    const backUp = async (): Promise<number> => {
      const { operationId } = await plane.startBackup(tenantId, 'gzip');
      await plane.completed(operationId);
      const { operation } = await plane.client.request<{ operation: { steps: readonly { phase: string; startedAt: string; finishedAt: string }[] } }>(
        'query ($id: ID!) { operation(id: $id) { steps { phase startedAt finishedAt } } }',
        { id: operationId },
      );
      const dump = operation.steps.find(({ phase }) => phase === 'DUMP');
      return dump === undefined ? NaN : (dataBytes * 1000) / (Date.parse(dump.finishedAt) - Date.parse(dump.startedAt));
    };
    /** One backup alone is too short for a 95th percentile that would come again. */
    const backUpAgainAndAgain = async (): Promise<number> => {
      const rates: number[] = [];
      for (let backup = 0; backup < unlimitedBackups; backup += 1) rates.push(await backUp());
      return rates.sort((a, b) => a - b)[Math.floor(rates.length / 2)] ?? NaN;
    };
    const measure = async (during: string, work: () => Promise<number | null>): Promise<WriterTimes> => {
      const working = work();
      const times = (await writing(working)).sort((a, b) => a - b);
      const measured = { during, writes: times.length, medianMs: times[Math.floor(times.length / 2)] ?? 0, p95Ms: times[Math.floor(times.length * 0.95)] ?? 0, bytesPerSecond: await working };
      say(`  ${during}: ${measured.writes} writes, median ${measured.medianMs.toFixed(1)} ms, p95 ${measured.p95Ms.toFixed(1)} ms`);
      return measured;
    };
    await writing(delay(2_000));
    const idle = await measure('idle', () => delay(idleMs).then(() => null));
    const free = await measure(`${unlimitedBackups} backups at the defaults`, backUpAgainAndAgain);
    await plane.limitRate(tenantId, limitBytesPerSecond);
    const limited = await measure(`a backup limited to ${limitBytesPerSecond / 1e6} MB/s`, backUp);
    await plane.limitRate(tenantId, 0);
    const again = await measure('idle again', () => delay(idleMs).then(() => null));
    return [idle, free, limited, again];
  } finally {
    await writes.drop().catch(() => undefined);
    await client.close();
  }
}

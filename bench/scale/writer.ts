import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import type { ControlPlane } from '../control-plane.ts';
import type { JobTarget } from '../job.ts';
import { p95Of, spreadOf } from '../statistics.ts';

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
const idleMs = 4_000;
/** One backup alone is too short for a 95th percentile that would come again. */
const rounds = 6;
const limitBytesPerSecond = 20_000_000;

/**
 * What one writer of the product feels: idle, during backups at the default concurrency, and during one with a limit. It is idle before each of them, as the machine is
 * not as fast from one minute to the next.
 */
export async function measureWriter(plane: ControlPlane, tenantId: string, target: JobTarget, dataBytes: number): Promise<WriterTimes[]> {
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
    const idle: number[] = [];
    const busy: number[] = [];
    const rates: number[] = [];
    const beIdle = async (): Promise<void> => void idle.push(...(await writing(delay(idleMs))));
    const busyWith = async (backup: Promise<number>, times: number[]): Promise<number> => {
      times.push(...(await writing(backup)));
      return backup;
    };
    await writing(delay(2_000));
    for (let round = 0; round < rounds; round += 1) {
      await beIdle();
      rates.push(await busyWith(backUp(), busy));
    }
    await beIdle();
    await plane.limitRate(tenantId, limitBytesPerSecond);
    const limited: number[] = [];
    const limitedRate = await busyWith(backUp(), limited);
    await plane.limitRate(tenantId, 0);
    await beIdle();
    return [
      writerTimes('idle', idle, null),
      writerTimes(`${rounds} backups at the defaults`, busy, spreadOf(rates).median),
      writerTimes(`a backup limited to ${limitBytesPerSecond / 1e6} MB/s`, limited, limitedRate),
    ];
  } finally {
    await writes.drop().catch(() => undefined);
    await client.close();
  }
}

function writerTimes(during: string, times: readonly number[], bytesPerSecond: number | null): WriterTimes {
  return { during, writes: times.length, medianMs: spreadOf(times).median, p95Ms: p95Of(times), bytesPerSecond };
}

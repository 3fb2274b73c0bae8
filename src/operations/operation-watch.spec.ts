import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { NoticeStream } from '../platform/events/notice-stream.js';
import { OperationSnapshots } from './operation-snapshots.js';
import { OperationWatch } from './operation-watch.js';
import type { OperationEntity } from './operation.entity.js';

/** One operation whose row the test changes, and the notices of its changes. */
function watched() {
  let row = { id: 'a', revision: 1, state: 'RUNNING' } as OperationEntity;
  let reads = 0;
  let closed = 0;
  const read = Promise.withResolvers<void>();
  const snapshots = new OperationSnapshots({
    findAnywhere: () => {
      reads += 1;
      if (row.revision === 2) read.resolve();
      return Promise.resolve({ ...row });
    },
  });
  const notices = new NoticeStream(() => undefined);
  const watch = new OperationWatch('a', notices, snapshots, () => (closed += 1));
  return {
    watch,
    notices,
    secondIsRead: read.promise,
    get reads() {
      return reads;
    },
    get closed() {
      return closed;
    },
    change(revision: number, state: OperationEntity['state']) {
      row = { id: 'a', revision, state } as OperationEntity;
      notices.push({ topic: 'operation', id: 'a', tenantId: 't', revision });
    },
  };
}

async function revisionsOf(states: AsyncIterable<OperationEntity>): Promise<number[]> {
  const revisions: number[] = [];
  for await (const { revision } of states) revisions.push(revision);
  return revisions;
}

describe('OperationWatch', () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  it('gives the end at once in the place of a state that still waits for its time', async () => {
    // Whose time never comes.
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'performance'] });
    const operation = watched();
    const seen = operation.watch.join();
    expect(await seen.next()).toMatchObject({ value: { revision: 1 } });
    operation.change(2, 'RUNNING');
    await operation.secondIsRead;
    operation.change(3, 'COMPLETED');
    expect(await revisionsOf(seen)).toEqual([3]);
    expect(operation.closed).toBe(1);
  });

  it('reads each change once for all who watch', async () => {
    const operation = watched();
    const all = Array.from({ length: 100 }, () => operation.watch.join());
    await Promise.all(all.map((one) => one.next()));
    const before = operation.reads;
    operation.change(2, 'COMPLETED');
    expect(await Promise.all(all.map(revisionsOf))).toEqual(all.map(() => [2]));
    expect(operation.reads - before).toBe(1);
  });

  it('gives those who come together one object, and later ones another', async () => {
    const operation = watched();
    const come = async (): Promise<unknown> => (await operation.watch.join().next()).value;
    const first = await come();
    expect(await come()).toBe(first);
    const now = performance.now();
    jest.spyOn(performance, 'now').mockReturnValue(now + 300);
    const later = await come();
    expect(later).toEqual(first);
    expect(later).not.toBe(first);
    jest.restoreAllMocks();
    operation.change(2, 'RUNNING');
    expect(await come()).toMatchObject({ revision: 2 });
  });

  it('keeps for one who is slow the newest state alone, and its end', async () => {
    const operation = watched();
    const slow = operation.watch.join();
    const quick = operation.watch.join();
    await quick.next();
    operation.change(2, 'RUNNING');
    expect(await quick.next()).toMatchObject({ value: { revision: 2 } });
    operation.change(3, 'FAILED');
    await quick.next();
    expect(await revisionsOf(slow)).toEqual([3]);
  });

  it('ends when the last one leaves, and tells a reader that waits', async () => {
    const operation = watched();
    const [first, second] = [operation.watch.join(), operation.watch.join()];
    await Promise.all([first.next(), second.next()]);
    const waiting = first.next();
    await first.return?.();
    expect(await waiting).toMatchObject({ done: true });
    expect([operation.closed, operation.notices.readers]).toEqual([0, 1]);
    await second.return?.();
    expect([operation.closed, operation.notices.hasEnded]).toEqual([1, true]);
  });
});

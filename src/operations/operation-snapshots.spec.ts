import { describe, expect, it } from '@jest/globals';
import { OperationSnapshots } from './operation-snapshots.js';
import type { OperationEntity } from './operation.entity.js';

/** A repository whose reads the test answers. */
function slowRows() {
  const reads: PromiseWithResolvers<OperationEntity | null>[] = [];
  return {
    reads,
    findAnywhere: () => {
      const read = Promise.withResolvers<OperationEntity | null>();
      reads.push(read);
      return read.promise;
    },
  };
}
const row = (revision: number) => ({ id: 'a', revision }) as OperationEntity;

describe('OperationSnapshots', () => {
  it('share the read that begins after they asked, not one that is under way', async () => {
    const rows = slowRows();
    const snapshots = new OperationSnapshots(rows);
    const first = snapshots.read('a');
    const later = [snapshots.read('a'), snapshots.read('a'), snapshots.read('a')];
    expect(rows.reads).toHaveLength(1);
    rows.reads[0]?.resolve(row(1));
    expect(await first).toMatchObject({ revision: 1 });
    expect(rows.reads).toHaveLength(2);
    rows.reads[1]?.resolve(row(2));
    expect((await Promise.all(later)).map((found) => found?.revision)).toEqual([2, 2, 2]);
  });

  it('answer from what they have where that is new enough', async () => {
    const rows = slowRows();
    const snapshots = new OperationSnapshots(rows);
    const first = snapshots.read('a');
    rows.reads[0]?.resolve(row(5));
    await first;
    expect(await snapshots.read('a', 4)).toMatchObject({ revision: 5 });
    expect(rows.reads).toHaveLength(1);
    void snapshots.read('a', 6);
    expect(rows.reads).toHaveLength(2);
  });

  it('read again after a failure', async () => {
    const rows = slowRows();
    const snapshots = new OperationSnapshots(rows);
    const first = snapshots.read('a');
    const second = snapshots.read('a');
    rows.reads[0]?.reject(new Error('away'));
    await expect(first).rejects.toThrow('away');
    rows.reads[1]?.resolve(row(1));
    expect(await second).toMatchObject({ revision: 1 });
  });
});

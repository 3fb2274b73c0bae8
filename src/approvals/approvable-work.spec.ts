import { describe, expect, it } from '@jest/globals';
import { type ApprovableWork, hashOfWork } from './approvable-work.js';

const work: ApprovableWork = {
  tenantId: 'a', action: 'RESTORE', subject: { type: 'RestorePlan', id: 'p' }, summary: 'restore it', binds: { source: 'b', merge: { conflict: 'KEEP_LIVE', skipClashes: true }, collections: ['x', 'y'] },
};
const hash = (change: Partial<ApprovableWork>): string => hashOfWork({ ...work, ...change }).toString('hex');

describe('the hash of a piece of work', () => {
  it('does not depend on the order of names, the plan that was made for it, or the words', () => {
    expect(hash({ binds: { collections: ['x', 'y'], merge: { skipClashes: true, conflict: 'KEEP_LIVE' }, source: 'b' }, subject: { type: 'RestorePlan', id: 'q' }, summary: 'other words' })).toBe(hash({}));
  });

  it('differs with everything that decides what is done', () => {
    const others: Partial<ApprovableWork>[] = [
      { tenantId: 'b' }, { action: 'RESET' }, { binds: { ...work.binds, source: 'c' } }, { binds: { ...work.binds, merge: null } }, { binds: { ...work.binds, collections: ['y', 'x'] } },
      { binds: { ...work.binds, collections: ['x,y'] } }, { binds: { ...work.binds, collections: null } }, { binds: { ...work.binds, keepOld: true } },
    ];
    expect(new Set([hash({}), ...others.map(hash)]).size).toBe(others.length + 1);
  });
});

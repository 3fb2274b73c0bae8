import { expect, it } from '@jest/globals';
import { checkTargetSpace } from './target-space.js';

const gib = 2 ** 30;
const check = (freeBytes: number | null, live: { readonly sizeBytes: number; readonly storageBytes: number }, archivedBytes: number) => checkTargetSpace({ freeBytes, ...live }, archivedBytes);

it('blocks what the server has no room for', () => {
  const small = { sizeBytes: 1000, storageBytes: 20_480 };
  expect(check(10 * gib, small, 10 * gib)).toMatchObject({ ok: true, blocking: true });
  expect(check(10 * gib, small, 10 * gib + 1)).toMatchObject({ ok: false, blocking: true, hint: expect.stringMatching(/disk space/) });
});

it('takes the archive to compress as the live data do, and its indexes to be as large', () => {
  expect(check(3 * gib, { sizeBytes: 12 * gib, storageBytes: 3 * gib }, 12 * gib)).toMatchObject({ ok: true, message: expect.stringContaining(`needs about ${3 * gib}`) });
  expect(check(3 * gib - 1, { sizeBytes: 12 * gib, storageBytes: 3 * gib }, 12 * gib)).toMatchObject({ ok: false });
  expect(check(23 * gib, { sizeBytes: 12 * gib, storageBytes: 90 * gib }, 12 * gib)).toMatchObject({ ok: false, message: expect.stringContaining(`needs about ${24 * gib}`) });
});

it('blocks nothing where the server does not tell', () => {
  expect(check(null, { sizeBytes: 0, storageBytes: 0 }, 10 * gib)).toMatchObject({ ok: true, message: expect.stringMatching(/does not tell/) });
});

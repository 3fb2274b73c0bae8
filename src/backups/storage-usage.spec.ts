import { describe, expect, it } from '@jest/globals';
import { toStorageUsage } from './storage-usage.model.js';

const totals = { usedBytes: 800, safetyBytes: 5000, backups: 3 };

describe('toStorageUsage', () => {
  it('warns from 80 % of the quota on, and says when nothing can be written any more', () => {
    expect(toStorageUsage(totals, 1001).warning).toBeNull();
    expect(toStorageUsage(totals, 1000).warning).toBe('80 % of the storage quota is used');
    expect(toStorageUsage(totals, 800).warning).toMatch(/used up/);
  });

  it('never warns without a quota', () => {
    expect(toStorageUsage(totals, null)).toMatchObject({ warning: null, quotaBytes: null });
  });
});

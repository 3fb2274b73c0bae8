import { describe, expect, it } from '@jest/globals';
import { manifestKeyOf } from './archive-objects.js';
import { archiveNames, archiveStoreKey, defaultBackupName } from './backup-naming.js';

const backup = { id: 'ab12cd34-0000-4000-8000-000000000000', label: 'manual', createdAt: new Date('2026-03-01T23:30:05Z'), codec: 'GZIP', encrypted: true } as const;
const tenant = { id: 't', slug: 'north-shop', targetDatabase: 'db_asset', policy: {} };
const nameOf = (changes: object, policy: Record<string, unknown> = {}): string => archiveNames({ ...tenant, policy }, { ...backup, ...changes }).fileName;

describe('names of a backup', () => {
  it('puts label, time and short id into the file name, and the codec into its suffix', () => {
    expect(nameOf({})).toBe('manual_20260301_233005_ab12cd34.gz.enc');
    expect(nameOf({ codec: 'ZSTD' })).toBe('manual_20260301_233005_ab12cd34.zst.enc');
    expect(nameOf({ codec: 'NONE' })).toBe('manual_20260301_233005_ab12cd34.archive.enc');
    expect(nameOf({ encrypted: false })).toBe('manual_20260301_233005_ab12cd34.gz');
    expect(nameOf({ encrypted: false, codec: 'ZSTD' })).toBe('manual_20260301_233005_ab12cd34.zst');
    expect(nameOf({ encrypted: false, codec: 'NONE' })).toBe('manual_20260301_233005_ab12cd34.archive');
  });

  it('lets no free text of a label into the store key', () => {
    expect(nameOf({ label: '../Büro und mehr/' })).toBe('B-ro-und-mehr_20260301_233005_ab12cd34.gz.enc');
    expect(nameOf({ label: '..' })).toBe('backup_20260301_233005_ab12cd34.gz.enc');
    expect(archiveStoreKey('t', 'f')).toBe('t/db-backups/f');
  });

  it('are those of the products with their presets', () => {
    // S2-20, S2-21
    expect(archiveNames({ ...tenant, policy: { preset: 'MANAGED' } }, { ...backup, label: '15-day' })).toEqual({ fileName: '15-day_20260301_233005.gz.enc', storeKey: 't/db-backups/15-day_20260301_233005_ab12cd34.gz.enc' });
    // S3-2: backup_db_asset_YYYYMMDD_HHMMSS
    expect(nameOf({}, { preset: 'ASSET' })).toBe('backup_db_asset_20260301_233005.gz.enc');
  });

  it('keep two backups of one second apart in the store', () => {
    const keys = ['ab12cd34', 'ab12cd35'].map((id) => archiveNames({ ...tenant, policy: { preset: 'ASSET' } }, { ...backup, id }).storeKey);
    expect(new Set(keys).size).toBe(2);
  });

  it('are taken by every store, whatever database, label and workspace are called', () => {
    const policy = { fileNameTemplate: 'a.b_{db}-{label}_{workspace}{yyyyMMdd_HHmmss}' };
    const { fileName, storeKey } = archiveNames({ id: 't', slug: 's'.repeat(63), targetDatabase: `../${'d'.repeat(63)}`, policy }, { ...backup, label: 'l'.repeat(200), codec: 'NONE' });
    expect(storeKey).toMatch(/^t\/db-backups\/[A-Za-z0-9][A-Za-z0-9._-]{0,190}$/);
    const longest = archiveNames({ id: 't', slug: 's'.repeat(63), targetDatabase: 'd'.repeat(63), policy: { fileNameTemplate: `{db}{label}{workspace}${'x'.repeat(21)}{yyyyMMdd_HHmmss}` } }, { ...backup, label: 'l'.repeat(200), codec: 'NONE', encrypted: false });
    expect(manifestKeyOf(longest.storeKey)).toMatch(/^t\/db-backups\/[^/]{1,199}$/);
    expect(fileName).toMatch(/^a\.b_d{39}-l{40}_s{40}20260301_233005\.archive\.enc$/);
  });

  it("names a backup by its label and the time of the tenant's zone", () => {
    expect(defaultBackupName('manual', backup.createdAt, 'Asia/Kolkata')).toBe('Manual 2026-03-02 05:00');
    expect(defaultBackupName('manual', backup.createdAt, 'Nowhere/Land')).toBe('Manual 2026-03-01 23:30');
  });
});

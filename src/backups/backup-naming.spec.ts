import { describe, expect, it } from '@jest/globals';
import { archiveFileName, archiveStoreKey, defaultBackupName } from './backup-naming.js';

const backup = { id: 'ab12cd34-0000-4000-8000-000000000000', label: 'manual', createdAt: new Date('2026-03-01T23:30:05Z'), codec: 'GZIP' } as const;

describe('names of a backup', () => {
  it('puts label, time and short id into the file name, and the codec into its suffix', () => {
    expect(archiveFileName(backup)).toBe('manual_20260301_233005_ab12cd34.gz.enc');
    expect(archiveFileName({ ...backup, codec: 'ZSTD' })).toBe('manual_20260301_233005_ab12cd34.zst.enc');
    expect(archiveFileName({ ...backup, codec: 'NONE' })).toBe('manual_20260301_233005_ab12cd34.archive.enc');
  });

  it('lets no free text of a label into the store key', () => {
    expect(archiveFileName({ ...backup, label: '../Büro und mehr/' })).toBe('B-ro-und-mehr_20260301_233005_ab12cd34.gz.enc');
    expect(archiveFileName({ ...backup, label: '..' })).toBe('backup_20260301_233005_ab12cd34.gz.enc');
    expect(archiveStoreKey('t', 'f')).toBe('t/db-backups/f');
  });

  it("names a backup by its label and the time of the tenant's zone", () => {
    expect(defaultBackupName('manual', backup.createdAt, 'Asia/Kolkata')).toBe('Manual 2026-03-02 05:00');
    expect(defaultBackupName('manual', backup.createdAt, 'Nowhere/Land')).toBe('Manual 2026-03-01 23:30');
  });
});

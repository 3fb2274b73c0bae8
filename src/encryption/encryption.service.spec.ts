import { describe, expect, it } from '@jest/globals';
import { AppConfig } from '../config/app-config.js';
import { EncryptionService } from './encryption.service.js';

const secret = Buffer.alloc(32, 1).toString('base64');
const keyA = Buffer.alloc(32, 2).toString('base64');
const keyB = Buffer.alloc(32, 3).toString('base64');
const tenantId = '6f9b2f0e-7b1c-4d57-9f3e-2f4b6a1c8d90';

function service(current: string | undefined, old?: string): EncryptionService {
  return new EncryptionService(
    AppConfig.from({
      DATABASE_URL: 'postgresql://localhost/none', HOLDFAST_SECRET_KEY: secret,
      ...(current === undefined ? {} : { BACKUP_ENCRYPTION_KEY: current }), ...(old === undefined ? {} : { BACKUP_ENCRYPTION_KEYS_OLD: old }),
    }),
  );
}

describe('EncryptionService', () => {
  it('is ready with a key, and names it', () => {
    const ready = service(`main:${keyA}`);
    expect(ready.summary).toEqual({ state: 'READY', banner: null, keyId: 'main' });
    expect(ready.sealingKey(tenantId)).toMatchObject({ keyId: 'main', tenantKey: expect.any(Buffer) });
  });

  it.each([
    [undefined, 'KEY_MISSING', /no encryption key/],
    ['', 'KEY_MISSING', /no encryption key/],
    ['not a key', 'KEY_INVALID', /malformed/],
    [Buffer.alloc(31).toString('base64'), 'KEY_INVALID', /malformed/],
  ])('runs with the key %p, says %s and refuses to seal', (key, state, banner) => {
    const off = service(key);
    expect(off.summary).toMatchObject({ state, banner: expect.stringMatching(banner), keyId: null });
    expect(() => off.requireKey()).toThrow(expect.objectContaining({ code: 'ENCRYPTION_KEY_MISSING' }));
    expect(() => off.sealingKey(tenantId)).toThrow(expect.objectContaining({ code: 'ENCRYPTION_KEY_MISSING' }));
  });

  it('keeps old keys for reading alone, also without a current one', () => {
    expect(service(`main:${keyA}`, `before:${keyB}`).keyRing.ids).toEqual(['main', 'before']);
    const readsOnly = service(undefined, `before:${keyB}`);
    expect(readsOnly.keyRing.ids).toEqual(['before']);
    expect(() => readsOnly.requireKey()).toThrow(expect.objectContaining({ code: 'ENCRYPTION_KEY_MISSING' }));
  });

  it('refuses to start with two keys of one id', () => {
    expect(() => service(`main:${keyA}`, `main:${keyB}`)).toThrow(/same id/);
  });

  it('derives another key for each tenant', () => {
    const ready = service(keyA);
    expect(ready.sealingKey(tenantId).tenantKey.equals(ready.sealingKey(tenantId.replace('6f', '7f')).tenantKey)).toBe(false);
  });
});

import { describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { AppError } from '#errors';
import { deriveArchiveKey, deriveKeyCheck, deriveTenantKey, KeyRing } from './keys.js';

const key = (byte: number): string => Buffer.alloc(32, byte).toString('base64');

describe('KeyRing', () => {
  it('names a key without an id by its hash', () => {
    const ring = KeyRing.parse(key(1));
    const id = `k-${createHash('sha256').update(Buffer.alloc(32, 1)).digest('hex').slice(0, 8)}`;
    expect(ring.current).toEqual({ id, key: Buffer.alloc(32, 1) });
    expect(ring.find(id)).toBe(ring.current);
  });

  it('finds the current and the old keys by id', () => {
    const ring = KeyRing.parse(` now:${key(1)}\n`, `2024:${key(2)}, ${key(3)}`);
    expect(ring.current?.id).toBe('now');
    expect(ring.find('2024')?.key.equals(Buffer.alloc(32, 2))).toBe(true);
    expect(ring.ids).toHaveLength(3);
    expect(ring.find('other')).toBeNull();
  });

  it.each([[undefined, undefined], ['', ''], ['  \n', ' ']])('has no key when the variables are empty', (current, old) => {
    const ring = KeyRing.parse(current, old);
    expect([ring.current, ring.isEmpty]).toEqual([null, true]);
  });

  it('reads with old keys alone', () => {
    const ring = KeyRing.parse('', `old:${key(9)}`);
    expect([ring.current, ring.isEmpty, ring.ids]).toEqual([null, false, ['old']]);
  });

  it.each<[string, string | undefined, string, string]>([
    ['too short', Buffer.alloc(31, 1).toString('base64'), '', 'BACKUP_ENCRYPTION_KEY'],
    ['no base64', `k:${'!'.repeat(44)}`, '', 'BACKUP_ENCRYPTION_KEY'],
    ['no canonical base64', `${key(1).slice(0, 42)}9=`, '', 'BACKUP_ENCRYPTION_KEY'],
    ['a malformed id', `my key:${key(1)}`, '', 'BACKUP_ENCRYPTION_KEY has a malformed id'],
    ['an empty id', `:${key(1)}`, '', 'malformed id'],
    ['a malformed old entry', key(1), `${key(2)},nope`, 'Entry 2 of BACKUP_ENCRYPTION_KEYS_OLD'],
    ['an empty old entry', key(1), `${key(2)},,${key(3)}`, 'Entry 2 of BACKUP_ENCRYPTION_KEYS_OLD'],
    ['an id that stands twice', `a:${key(1)}`, `b:${key(2)},a:${key(3)}`, 'Entry 2 of BACKUP_ENCRYPTION_KEYS_OLD has the same id as another key: a'],
    ['the same key twice', key(1), key(1), 'Entry 1 of BACKUP_ENCRYPTION_KEYS_OLD has the same id'],
  ])('refuses %s and never shows it', (_name, current, old, message) => {
    let error: unknown;
    try {
      KeyRing.parse(current, old);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(AppError);
    const { code, message: text } = error as AppError;
    expect(code).toBe('ENCRYPTION_KEY_MISSING');
    expect(text).toContain(message);
    for (const secret of [key(1), key(2), key(3), 'nope', 'my key', '!!!']) expect(text).not.toContain(secret);
  });
});

describe('key derivation', () => {
  it('gives every tenant, archive and purpose its own key', () => {
    const master = KeyRing.parse(key(1)).current!;
    const salt = Buffer.alloc(32, 7);
    const header = Buffer.alloc(32, 8);
    const tenant = deriveTenantKey(master, 'a');
    const keys = [
      tenant, deriveTenantKey(master, 'b'), deriveTenantKey({ id: 'x', key: Buffer.alloc(32, 2) }, 'a'), deriveArchiveKey(tenant, salt, header),
      deriveArchiveKey(tenant, Buffer.alloc(32, 9), header), deriveArchiveKey(tenant, salt, Buffer.alloc(32, 9)), deriveKeyCheck(tenant, salt), deriveKeyCheck(tenant, header),
    ].map((bytes) => bytes.toString('hex'));
    expect(new Set(keys).size).toBe(keys.length);
  });
});

import { describe, expect, it } from '@jest/globals';
import { deriveTenantKey } from './keys.js';
import { openRecoveryKit, sealRecoveryKit } from './recovery-kit.js';

const tenant = { id: '0f0e0d0c-0b0a-4908-8706-050403020100', slug: 'acme', name: 'Acme Trading' };
const keys = ['k-new', 'k-old'].map((id, index) => ({ id, tenantKey: deriveTenantKey({ id, key: Buffer.alloc(32, index + 1) }, tenant.id) }));
const passphrase = 'correct horse battery staple';
const kit = sealRecoveryKit({ tenant, keys }, passphrase);

describe('a recovery kit', () => {
  it('holds the keys of one tenant, and no other key opens with it', () => {
    const opened = openRecoveryKit(kit, passphrase);
    expect(opened.tenant).toEqual(tenant);
    expect(opened.tenantKey('k-old', tenant.id)).toEqual(keys[1]?.tenantKey);
    expect(opened.tenantKey('k-other', tenant.id)).toBeNull();
    expect(opened.tenantKey('k-old', '00000000-0000-4000-8000-000000000000')).toBeNull();
  });

  it('shows neither the keys nor the passphrase', () => {
    for (const { tenantKey } of keys) for (const encoding of ['hex', 'base64'] as const) expect(kit).not.toContain(tenantKey.toString(encoding));
    expect(kit).not.toContain('horse');
  });

  it('takes the passphrase as it is typed on any machine', () => {
    const composed = sealRecoveryKit({ tenant, keys }, 'Grüße aus Zürich');
    expect(openRecoveryKit(composed, 'Gru\u0308\u00dfe aus Zu\u0308rich').keys).toHaveLength(2);
  });

  it('does not open with another passphrase, or when anything of it was changed', () => {
    expect(() => openRecoveryKit(kit, 'another passphrase')).toThrow(expect.objectContaining({ code: 'KEY_MISMATCH' }));
    const file = JSON.parse(kit) as Record<string, unknown>;
    for (const change of [{ tenant: { ...tenant, id: '11111111-0b0a-4908-8706-050403020100' } }, { tenant: { ...tenant, name: 'Other' } }, { keyIds: ['k-old', 'k-new'] }, { nonce: Buffer.alloc(12, 1).toString('base64') }]) {
      expect(() => openRecoveryKit(JSON.stringify({ ...file, ...change }), passphrase)).toThrow(expect.objectContaining({ code: 'KEY_MISMATCH' }));
    }
  });

  it('is refused where it is no kit, or asks for more than ours do', () => {
    const file = JSON.parse(kit) as { kdf: Record<string, unknown> };
    for (const text of ['', 'null', '{}', JSON.stringify({ ...file, version: 2 }), JSON.stringify({ ...file, sealed: 'AAAA' }), JSON.stringify({ ...file, kdf: { ...file.kdf, n: 2 ** 30 } })]) {
      expect(() => openRecoveryKit(text, passphrase)).toThrow(expect.objectContaining({ code: 'ENCRYPTION_KEY_MISSING' }));
    }
  });

  it('wants a passphrase that deserves the name', () => {
    expect(() => sealRecoveryKit({ tenant, keys }, 'short')).toThrow('at least 12');
  });
});

import { hkdfSync } from 'node:crypto';

/** What a key derived from HOLDFAST_SECRET_KEY is for; each purpose has a key of its own. */
export type KeyPurpose = 'token-signing' | 'target-uri' | 'webhook-secret' | 'notifier-address' | 'reset-code';

export function deriveKey(secretKey: Buffer, purpose: KeyPurpose): Buffer {
  return Buffer.from(hkdfSync('sha256', secretKey, '', `holdfast/1/${purpose}`, 32));
}

import type { KeyGrants } from './actor.js';

/** By which a key is told from a token, and found by those who look for secrets in code. */
export const apiKeyPrefix = 'hfk_';

export interface ApiKeyIdentity {
  readonly id: string;
  readonly name: string;
  readonly grants: KeyGrants;
  readonly expiresAt: Date;
}

/** Knows the API keys; their feature provides it. */
export abstract class ApiKeyDirectory {
  /** Null when there is no such key, or it was revoked or has expired. */
  abstract findByKey(key: string): Promise<ApiKeyIdentity | null>;
}

import type { EmbeddedToken } from './embedded-tokens.js';

export interface AccountIdentity {
  readonly id: string;
  readonly email: string;
  readonly name: string | null;
  readonly timeZone: string;
  readonly isProvider: boolean;
}

/** Knows the embedded accounts; the access feature provides it. */
export abstract class AccountDirectory {
  /** Null when the account is gone, the token was revoked, or all of the account's tokens were. */
  abstract findByToken(token: EmbeddedToken): Promise<AccountIdentity | null>;
}

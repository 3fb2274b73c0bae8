import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { jwtVerify, SignJWT } from 'jose';
import { AppConfig } from '../../config/app-config.js';
import { deriveKey } from '../secrets/derived-keys.js';

const issuer = 'holdfast';
const lifetimeMs = 8 * 3_600_000;

export interface EmbeddedToken {
  readonly accountId: string;
  readonly tokenId: string;
  /** A token of an earlier epoch of its account is no longer good. */
  readonly epoch: number;
  /** When the password was last typed; refreshing a token keeps it. */
  readonly loggedInAt: Date;
  readonly expiresAt: Date;
}

export interface IssuedToken {
  readonly accessToken: string;
  readonly expiresAt: Date;
}

/** Tokens of embedded accounts, signed with a key derived from HOLDFAST_SECRET_KEY. */
@Injectable()
export class EmbeddedTokens {
  private readonly key: Buffer;

  constructor(config: AppConfig) {
    this.key = deriveKey(config.secretKey, 'token-signing');
  }

  async issue(account: { readonly id: string; readonly tokenEpoch: number }, loggedInAt = new Date(), validForMs = lifetimeMs): Promise<IssuedToken> {
    const now = Math.floor(Date.now() / 1000);
    const expiresAt = new Date((now + Math.ceil(validForMs / 1000)) * 1000);
    const accessToken = await new SignJWT({ epoch: account.tokenEpoch, auth_time: Math.floor(loggedInAt.getTime() / 1000) })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience(issuer)
      .setSubject(account.id)
      .setJti(randomUUID())
      .setIssuedAt(now)
      .setExpirationTime(expiresAt)
      .sign(this.key);
    return { accessToken, expiresAt };
  }

  /** Null for a token that is not ours, was changed, or has expired. */
  async verify(token: string): Promise<EmbeddedToken | null> {
    const claims = await jwtVerify(token, this.key, { issuer, audience: issuer, algorithms: ['HS256'], requiredClaims: ['sub', 'jti', 'exp', 'auth_time', 'epoch'] }).then(
      ({ payload }) => payload,
      () => null,
    );
    if (claims === null) return null;
    const { sub, jti, exp, epoch, auth_time: loggedInAt } = claims;
    if (sub === undefined || jti === undefined || exp === undefined || typeof epoch !== 'number' || typeof loggedInAt !== 'number') return null;
    return { accountId: sub, tokenId: jti, epoch, loggedInAt: new Date(loggedInAt * 1000), expiresAt: new Date(exp * 1000) };
  }
}

import { Injectable, Logger } from '@nestjs/common';
import { createRemoteJWKSet, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import { AppError } from '#errors';
import { AppConfig, type HostProductTokens as HostProductSettings } from '../../config/app-config.js';
import { isStorableText } from '../database/storable-text.js';
import type { ClaimedMembership } from './actor.js';

/** Public keys alone: with HS256 in the list anybody could sign with the public key as the secret. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];
const clockToleranceSeconds = 5;

export interface HostProductToken {
  readonly issuer: string;
  readonly subject: string;
  readonly email: string | null;
  /** In E.164. */
  readonly phone: string | null;
  readonly name: string | null;
  readonly isProvider: boolean;
  readonly memberships: readonly ClaimedMembership[];
  readonly tokenId: string | null;
  /** `auth_time` of OpenID Connect; when the token itself was issued says nothing of it. */
  readonly loggedInAt: Date | null;
  readonly expiresAt: Date;
}

/** Tokens that a host product issues to its own users, checked against its published keys. */
@Injectable()
export class HostProductTokens {
  private readonly logger = new Logger(HostProductTokens.name);
  private readonly settings: HostProductSettings | null;
  private readonly keys: JWTVerifyGetKey | null;

  constructor(config: AppConfig) {
    this.settings = config.hostProduct;
    // An unknown key id fetches the keys again, at most every 10 seconds, so that a rotation is noticed and a forger cannot flood the host.
    this.keys = this.settings === null ? null : createRemoteJWKSet(new URL(this.settings.jwksUrl), { timeoutDuration: 5_000, cooldownDuration: 10_000 });
  }

  /**
   * Null for a token that the host product did not issue for us, or that has expired.
   *
   * @throws AppError UNAVAILABLE when its keys cannot be fetched: the token may be good
   */
  async verify(token: string): Promise<HostProductToken | null> {
    if (this.settings === null || this.keys === null) return null;
    const { issuer, audience, claims } = this.settings;
    try {
      const { payload } = await jwtVerify(token, this.keys, { issuer, audience, algorithms, clockTolerance: clockToleranceSeconds, requiredClaims: ['exp'] });
      const subject = textClaim(payload, claims.subject);
      if (subject === null || payload.exp === undefined || !isStorableText(payload.jti ?? '')) return null;
      return {
        issuer,
        subject,
        email: isVouchedFor(payload['email_verified']) ? (textClaim(payload, claims.email)?.toLowerCase() ?? null) : null,
        phone: isVouchedFor(payload['phone_number_verified']) ? phoneClaim(payload, claims.phone) : null,
        name: nameClaim(payload, claims.name),
        isProvider: claimOf(payload, claims.provider) === true,
        memberships: membershipsOf(payload, claims.tenant, claims.role),
        tokenId: payload.jti ?? null,
        loggedInAt: timeClaim(payload['auth_time']),
        expiresAt: new Date(payload.exp * 1000),
      };
    } catch (error) {
      if (error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout) && error.code !== 'ERR_JOSE_GENERIC') return null;
      this.logger.warn({ msg: "The host product's keys cannot be fetched", err: error });
      throw new AppError('UNAVAILABLE', "The keys of the host product's tokens cannot be fetched", { cause: error });
    }
  }
}

function phoneClaim(payload: JWTPayload, name: string): string | null {
  const phone = textClaim(payload, name);
  return phone !== null && /^\+[1-9]\d{6,14}$/.test(phone) ? phone : null;
}

/** A time of the future, beyond what clocks differ by, is a mistake and not a fresh login. */
function timeClaim(value: unknown): Date | null {
  const isTime = typeof value === 'number' && Number.isFinite(value) && value > 0 && value * 1000 <= Date.now() + 60_000;
  return isTime ? new Date(value * 1000) : null;
}

/** A host product that leaves the claim out vouches for its addresses; whatever says anything but yes does not. */
function isVouchedFor(verified: unknown): boolean {
  return verified === undefined || verified === true || verified === 'true';
}

/** The claim of exactly this name (names may be URLs), else the one at this dotted path. */
function claimOf(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name];
  let value: unknown = payload;
  for (const part of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

function textClaim(payload: JWTPayload, name: string): string | null {
  const value = claimOf(payload, name);
  return typeof value === 'string' && value !== '' && value.length <= 320 && isStorableText(value) ? value : null;
}

/** Products cut long names, and so emoji; of all claims this one alone identifies nobody and may be mended. */
function nameClaim(payload: JWTPayload, name: string): string | null {
  const value = claimOf(payload, name);
  return typeof value === 'string' ? textClaim({ name: value.toWellFormed() }, 'name') : null;
}

/** One role in one tenant, or in each of a list of tenants. */
function membershipsOf(payload: JWTPayload, tenantClaim: string, roleClaim: string): ClaimedMembership[] {
  const tenants = claimOf(payload, tenantClaim);
  const role = textClaim(payload, roleClaim)?.toUpperCase();
  if (role === undefined) return [];
  const names: unknown[] = Array.isArray(tenants) ? tenants.slice(0, 1000) : [tenants];
  return names.filter((name) => typeof name === 'string' && name !== '' && isStorableText(name)).map((tenant) => ({ tenant: String(tenant), role }));
}

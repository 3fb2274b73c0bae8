import type { Request } from 'express';
import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import passport from 'passport';
import { Strategy } from 'passport-strategy';
import { AccountDirectory, type AccountIdentity } from './account-directory.js';
import type { Actor } from './actor.js';
import { ApiKeyDirectory, type ApiKeyIdentity, apiKeyPrefix } from './api-key-directory.js';
import { type EmbeddedToken, EmbeddedTokens } from './embedded-tokens.js';
import { type HostProductToken, HostProductTokens } from './host-product-tokens.js';

const { Passport } = passport;

export interface BearerRequest {
  readonly headers: Request['headers'];
  readonly address: string;
}

type Done = (error: Error | null, actor?: Actor | null) => void;

/** The `Authorization: Bearer` scheme for Passport. Jose verifies the tokens: it knows every algorithm of a host product and fetches its keys. */
class BearerScheme extends Strategy {
  readonly name = 'bearer';

  constructor(private readonly verify: (request: BearerRequest, token: string, done: Done) => void) {
    super();
  }

  /** Passport wants an Express request; this scheme reads one header. */
  override authenticate(request: Request & BearerRequest): void {
    const [, token] = /^Bearer +([\w.~+/=-]{1,16384})$/i.exec(request.headers.authorization ?? '') ?? [];
    if (token === undefined) {
      this.fail(401);
      return;
    }
    this.verify(request, token, (error, actor) => {
      if (error !== null) this.error(error);
      else if (actor === null || actor === undefined) this.fail(401);
      else this.success(actor);
    });
  }
}

@Injectable()
export class BearerStrategy extends PassportStrategy(BearerScheme, 'bearer') {
  /** Set by `getPassportInstance`, which the base class calls before the fields of this one exist. */
  declare private registry: passport.Authenticator | undefined;

  constructor(
    private readonly embedded: EmbeddedTokens,
    private readonly hostProduct: HostProductTokens,
    private readonly accounts: AccountDirectory,
    private readonly keys: ApiKeyDirectory,
  ) {
    super();
  }

  /** A registry of its own: with Passport's global one the last application of a process would answer for all of them. */
  getPassportInstance(): passport.Authenticator {
    return (this.registry ??= new Passport());
  }

  /** Called by Passport with a token; null refuses it. */
  async validate(request: BearerRequest, token: string): Promise<Actor | null> {
    if (token.startsWith(apiKeyPrefix)) {
      const key = await this.keys.findByKey(token);
      return key === null ? null : actorOfKey(key, request.address);
    }
    const embedded = await this.embedded.verify(token);
    if (embedded !== null) {
      const account = await this.accounts.findByToken(embedded);
      return account === null ? null : actorOfAccount(account, embedded, request.address);
    }
    const foreign = await this.hostProduct.verify(token);
    return foreign === null ? null : actorOfHostProduct(foreign, request.address);
  }
}

function actorOfAccount(account: AccountIdentity, token: EmbeddedToken, address: string): Actor {
  return {
    id: `account:${account.id}`,
    kind: 'ACCOUNT',
    accountId: account.id,
    email: account.email.toLowerCase(),
    phone: null,
    name: account.name,
    isProvider: account.isProvider,
    timeZone: account.timeZone,
    address,
    tokenId: token.tokenId,
    tokenExpiresAt: token.expiresAt,
    loggedInAt: token.loggedInAt,
    memberships: [],
    grants: null,
  };
}

function actorOfHostProduct(token: HostProductToken, address: string): Actor {
  return {
    id: `${token.issuer}#${token.subject}`,
    kind: 'HOST_PRODUCT',
    accountId: null,
    email: token.email,
    phone: token.phone,
    name: token.name,
    isProvider: token.isProvider,
    timeZone: 'UTC',
    address,
    tokenId: token.tokenId,
    tokenExpiresAt: token.expiresAt,
    loggedInAt: token.loggedInAt,
    memberships: token.memberships,
    grants: null,
  };
}

/** Nobody who could log in, be written to or agree to anything. */
function actorOfKey({ id, name, grants, expiresAt }: ApiKeyIdentity, address: string): Actor {
  return {
    id: `api-key:${id}`,
    kind: 'API_KEY',
    accountId: null,
    email: null,
    phone: null,
    name,
    isProvider: false,
    timeZone: 'UTC',
    address,
    tokenId: id,
    tokenExpiresAt: expiresAt,
    loggedInAt: null,
    memberships: [],
    grants,
  };
}

import type { IncomingMessage } from 'node:http';
import { Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { Application } from 'express';
import { GraphQLError } from 'graphql';
import proxyAddr from 'proxy-addr';
import { AppError, asAppError } from '#errors';
import { type Authentication, Authenticator } from '../auth/authenticator.js';
import { RateLimiter } from './rate-limiter.js';
import type { RequestContext } from './request-context.js';

type TrustFunction = (address: string, hop: number) => boolean;

/** Makes the context of each call: who calls, and from where. */
@Injectable()
export class RequestContextFactory {
  constructor(
    private readonly authenticator: Authenticator,
    private readonly rates: RateLimiter,
    private readonly host: HttpAdapterHost,
  ) {}

  /**
   * A token that is not good makes the caller nobody: `login` must still answer.
   *
   * @throws GraphQLError RATE_LIMITED
   */
  async forRequest(request: IncomingMessage): Promise<RequestContext> {
    const address = this.addressOf(request);
    const authentication = await this.authenticator.authenticate(request.headers.authorization, address).catch((error: unknown) => asAppError(error));
    const context = { req: { headers: request.headers }, ...callerOf(authentication), address };
    try {
      this.rates.count(context.user?.id ?? address);
    } catch (error) {
      const limited = asAppError(error);
      throw new GraphQLError(limited.message, { originalError: limited, extensions: { http: { status: 429 } } });
    }
    return context;
  }

  /** Believes `X-Forwarded-For` only from the proxies that Express was told to trust. */
  addressOf(request: IncomingMessage): string {
    const application = this.host.httpAdapter.getInstance<Application>();
    return proxyAddr(request, application.get('trust proxy fn') as TrustFunction);
  }
}

function callerOf(authentication: Authentication | AppError): Pick<RequestContext, 'user' | 'refusal'> {
  if (authentication instanceof AppError) return { user: null, refusal: authentication };
  switch (authentication.kind) {
    case 'actor':
      return { user: authentication.actor, refusal: null };
    case 'anonymous':
      return { user: null, refusal: new AppError('UNAUTHENTICATED', 'You are not logged in') };
    case 'refused':
      return { user: null, refusal: new AppError('UNAUTHENTICATED', 'The token is not valid, or no longer so') };
  }
}

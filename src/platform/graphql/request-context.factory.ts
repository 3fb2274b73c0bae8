import type { IncomingMessage } from 'node:http';
import { Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { Application } from 'express';
import proxyAddr from 'proxy-addr';
import { Authenticator } from '../auth/authenticator.js';
import type { RequestContext } from './request-context.js';

type TrustFunction = (address: string, hop: number) => boolean;

/** Makes the context of each call: who calls, and from where. */
@Injectable()
export class RequestContextFactory {
  constructor(
    private readonly authenticator: Authenticator,
    private readonly host: HttpAdapterHost,
  ) {}

  /** A token that is not good makes the caller nobody: `login` and `tokenRefresh` must still answer. */
  async forRequest(request: IncomingMessage): Promise<RequestContext> {
    const address = this.addressOf(request);
    const authentication = await this.authenticator.authenticate(request.headers.authorization, address);
    return { req: { headers: request.headers }, user: authentication.kind === 'actor' ? authentication.actor : null, address };
  }

  /** Believes `X-Forwarded-For` only from the proxies that Express was told to trust. */
  addressOf(request: IncomingMessage): string {
    const application = this.host.httpAdapter.getInstance<Application>();
    return proxyAddr(request, application.get('trust proxy fn') as TrustFunction);
  }
}

import { Injectable } from '@nestjs/common';
import { asAppError } from '#errors';
import type { Actor } from './actor.js';
import type { Authentication, Authenticator } from './authenticator.js';
import { type BearerRequest, BearerStrategy } from './bearer.strategy.js';

/** Asks Passport without a response at hand, so that HTTP requests and sockets are authenticated alike. */
@Injectable()
export class PassportAuthenticator implements Authenticator {
  constructor(private readonly strategy: BearerStrategy) {}

  authenticate(authorization: string | undefined, address: string): Promise<Authentication> {
    if (authorization === undefined) return Promise.resolve({ kind: 'anonymous' });
    return new Promise((resolve, reject) => {
      const answer = (error: unknown, actor?: Actor | false | null): void => {
        if (error !== null && error !== undefined) reject(asAppError(error));
        else resolve(actor ? { kind: 'actor', actor } : { kind: 'refused' });
      };
      const middleware = this.strategy.getPassportInstance().authenticate('bearer', { session: false }, answer) as (request: BearerRequest) => void;
      middleware({ headers: { authorization }, address });
    });
  }
}

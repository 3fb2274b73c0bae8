import { Global, Module } from '@nestjs/common';
import { Authenticator } from './authenticator.js';
import { BearerStrategy } from './bearer.strategy.js';
import { EmbeddedTokens } from './embedded-tokens.js';
import { HostProductTokens } from './host-product-tokens.js';
import { PassportAuthenticator } from './passport-authenticator.js';

/** Tokens in, actors out. Needs an `AccountDirectory` and an `ApiKeyDirectory`, which features provide. */
@Global()
@Module({
  providers: [EmbeddedTokens, HostProductTokens, BearerStrategy, { provide: Authenticator, useClass: PassportAuthenticator }],
  exports: [Authenticator, EmbeddedTokens],
})
export class AuthModule {}

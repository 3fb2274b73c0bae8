import { Args, Mutation, Resolver } from '@nestjs/graphql';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { ClientAddress, CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { AccountsService } from './accounts.service.js';
import { LoginInput, LoginPayload, LogoutInput, LogoutPayload, PasswordChangeInput, PasswordChangePayload, TokenRefreshInput, TokenRefreshPayload } from './dto/login.input.js';

@Resolver()
export class AccountsResolver {
  constructor(private readonly accounts: AccountsService) {}

  @Access('public')
  @Mutation(() => LoginPayload, { description: 'Logs an account of Holdfast in; every failure answers LOGIN_FAILED.' })
  login(@Args('input') input: LoginInput, @ClientAddress() address: string): Promise<LoginPayload> {
    return this.accounts.login(input.email, input.password, address);
  }

  @Access('authenticated')
  @Mutation(() => TokenRefreshPayload, { description: 'A new token for the one that was sent, up to 30 days after the password was typed.' })
  tokenRefresh(@Args('input') _input: TokenRefreshInput, @CurrentActor() actor: Actor): Promise<TokenRefreshPayload> {
    return this.accounts.refresh(actor);
  }

  @Access('authenticated')
  @Mutation(() => LogoutPayload, { description: 'Ends the token that was sent, and the subscriptions that were begun with it.' })
  async logout(@Args('input') _input: LogoutInput, @CurrentActor() actor: Actor): Promise<LogoutPayload> {
    await this.accounts.logout(actor);
    return {};
  }

  @Access('authenticated')
  @Mutation(() => PasswordChangePayload)
  passwordChange(@Args('input') input: PasswordChangeInput, @CurrentActor() actor: Actor): Promise<PasswordChangePayload> {
    return this.accounts.changePassword(actor, input.currentPassword, input.newPassword);
  }
}

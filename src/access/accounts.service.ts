import { randomUUID } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { AuditService } from '../audit/audit.service.js';
import { AppConfig } from '../config/app-config.js';
import type { AccountDirectory, AccountIdentity } from '../platform/auth/account-directory.js';
import type { Actor } from '../platform/auth/actor.js';
import { type EmbeddedToken, EmbeddedTokens, type IssuedToken } from '../platform/auth/embedded-tokens.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { EventBus } from '../platform/events/event-bus.js';
import type { AccountEntity } from './account.entity.js';
import { AccountsRepository } from './accounts.repository.js';
import { LoginLimiter } from './login-limiter.js';
import { hashPassword, passwordMatches, requireStrongPassword } from './passwords.js';

/** A token can be refreshed for so long after the password was typed. */
const sessionMs = 30 * 24 * 3_600_000;

@Injectable()
export class AccountsService implements AccountDirectory, OnApplicationBootstrap {
  constructor(
    private readonly accounts: AccountsRepository,
    private readonly tokens: EmbeddedTokens,
    private readonly limiter: LoginLimiter,
    private readonly audit: AuditService,
    private readonly bus: EventBus,
    private readonly dataSource: DataSource,
    private readonly config: AppConfig,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    await this.ensureAdministrator();
  }

  /** @throws AppError LOGIN_FAILED for every reason alike, RATE_LIMITED */
  async login(email: string, password: string, address: string): Promise<IssuedToken> {
    const attempt = await this.limiter.begin(email, address, () => this.recordLogin(email, address, 'REFUSED', null));
    const account = await this.accounts.findByEmail(email);
    if (!(await passwordMatches(account?.passwordHash ?? null, password)) || account === null) {
      await this.recordLogin(email, address, 'FAILED', account);
      throw loginFailed();
    }
    await attempt.succeeded();
    await this.recordLogin(email, address, 'OK', account);
    return this.tokens.issue(account);
  }

  /** @throws AppError UNAUTHENTICATED when the password was typed too long ago, or the token is not an embedded account's */
  async refresh(actor: Actor): Promise<IssuedToken> {
    const account = await this.accountOf(actor);
    if (actor.loggedInAt === null || Date.now() - actor.loggedInAt.getTime() > sessionMs) throw new AppError('UNAUTHENTICATED', 'The login is too old to be refreshed');
    return this.tokens.issue(account, actor.loggedInAt);
  }

  async logout(actor: Actor): Promise<void> {
    await this.accountOf(actor);
    if (actor.tokenId === null || actor.tokenExpiresAt === null) return;
    await this.accounts.revoke(actor.tokenId, actor.tokenExpiresAt);
    await this.endSubscriptions(actor);
    await this.audit.record({ action: 'account.logout', tenantId: null, actor });
  }

  /** Ends every other login of the account. @throws AppError LOGIN_FAILED for a wrong current password, PASSWORD_TOO_WEAK, RATE_LIMITED */
  async changePassword(actor: Actor, currentPassword: string, newPassword: string): Promise<IssuedToken> {
    const account = await this.accountOf(actor);
    const attempt = await this.limiter.begin(account.email, actor.address);
    if (!(await passwordMatches(account.passwordHash, currentPassword))) {
      await this.audit.record({ action: 'account.password-changed', outcome: 'FAILED', tenantId: null, actor });
      throw new AppError('LOGIN_FAILED', 'The current password is wrong', { field: ['currentPassword'] });
    }
    await attempt.succeeded();
    requireStrongPassword(newPassword, account.email, ['newPassword']);
    const passwordHash = await hashPassword(newPassword);
    await runInTransaction(this.dataSource, async (manager) => {
      await this.accounts.setPassword(account.id, passwordHash, manager);
      await this.endSubscriptions(actor, manager);
      await this.audit.record({ action: 'account.password-changed', tenantId: null, actor }, manager);
    });
    return this.tokens.issue({ id: account.id, tokenEpoch: account.tokenEpoch + 1 });
  }

  async findByToken(token: EmbeddedToken): Promise<AccountIdentity | null> {
    return this.accounts.findByToken(token.accountId, token.epoch, token.tokenId);
  }

  /** Makes the account of HOLDFAST_ADMIN_EMAIL, or gives it the configured password and the provider's rights, where people can log in. Safe in two processes at once. */
  private async ensureAdministrator(): Promise<void> {
    const { admin } = this.config;
    if (admin === null || !this.config.runsApi) return;
    const existing = await this.accounts.findByEmail(admin.email);
    if (existing?.isProvider === true && (await passwordMatches(existing.passwordHash, admin.password))) return;
    const passwordHash = await hashPassword(admin.password);
    await runInTransaction(this.dataSource, async (manager) => {
      await manager.query("select pg_advisory_xact_lock(hashtextextended('administrator', 0))");
      const account = await this.accounts.findByEmail(admin.email, manager);
      if (account === null) {
        await this.accounts.insert(
          { id: randomUUID(), email: admin.email, name: 'Administrator', phone: null, timeZone: 'UTC', passwordHash, homeTenantId: null, isProvider: true, tokenEpoch: 0 },
          manager,
        );
        return;
      }
      if (!account.isProvider) await this.accounts.makeProvider(account.id, manager);
      if (!(await passwordMatches(account.passwordHash, admin.password))) await this.accounts.setPassword(account.id, passwordHash, manager);
    });
  }

  /** Every process checks the tokens of the account's sockets again. */
  private async endSubscriptions(actor: Actor, manager?: EntityManager): Promise<void> {
    if (actor.accountId !== null) await this.bus.publish({ topic: 'account', id: actor.accountId, tenantId: '', revision: 0 }, manager);
  }

  private async accountOf(actor: Actor): Promise<AccountEntity> {
    const account = actor.accountId === null ? null : await this.accounts.findById(actor.accountId);
    if (account === null) throw new AppError('UNAUTHENTICATED', 'You are not logged in with an account of Holdfast');
    return account;
  }

  private async recordLogin(email: string, address: string, outcome: 'OK' | 'FAILED' | 'REFUSED', account: AccountEntity | null): Promise<void> {
    const actor = account === null ? null : { id: `account:${account.id}`, kind: 'ACCOUNT' as const, email: account.email, name: account.name };
    await this.audit.record({ action: 'account.login', outcome, tenantId: null, actor, address, detail: { email } });
  }
}

function loginFailed(): AppError {
  return new AppError('LOGIN_FAILED', 'The e-mail address or the password is wrong');
}

import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { EventBus } from '../platform/events/event-bus.js';
import { AuditService } from '../audit/audit.service.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { runInTransaction, violatedUnique } from '../platform/database/data-source.js';
import type { Page, PageOfRows } from '../platform/database/page.js';
import { notFound } from '../platform/graphql/global-id.js';
import { mayIn } from './ability.js';
import { AccessService, forbidden, type TenantScope } from './access.service.js';
import { AccountsRepository } from './accounts.repository.js';
import type { MemberEntity } from './member.entity.js';
import { MembersRepository } from './members.repository.js';
import { hashPassword, requireStrongPassword } from './passwords.js';
import { Permission } from './permission.js';
import { MemberRole, permissionsOfRole } from './role.js';

export interface Invitation {
  readonly email: string;
  readonly name?: string | null | undefined;
  readonly phone?: string | null | undefined;
  readonly role: MemberRole;
  /** Makes an embedded account for the person. */
  readonly password?: string | null | undefined;
}

/** Where a person is reached; null: not known. */
export interface PersonalAddresses {
  readonly email: string | null;
  readonly phone: string | null;
}

/** Told, in the transaction, of what a member may do from now on; null: nothing any more. */
export type MemberWatcher = (member: MemberEntity, role: MemberRole | null, manager: EntityManager) => Promise<void>;

@Injectable()
export class MembersService {
  private readonly watchers: MemberWatcher[] = [];

  constructor(
    private readonly members: MembersRepository,
    private readonly accounts: AccountsRepository,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly dataSource: DataSource,
    private readonly bus: EventBus,
  ) {}

  watch(watcher: MemberWatcher): void {
    this.watchers.push(watcher);
  }

  async get(actor: Actor, memberId: string): Promise<MemberEntity> {
    return this.access.authorizeRow(actor, 'Member', await this.members.findById(memberId), Permission.MEMBER_MANAGE);
  }

  /** Of the actor: the membership's, else the account's own or those that the token vouches for. */
  async addressesOf(actor: Actor, scope: TenantScope): Promise<PersonalAddresses> {
    const member = await this.members.findOf(scope, actor);
    const account = actor.accountId === null ? null : await this.accounts.findById(actor.accountId);
    return { email: member?.email ?? actor.email, phone: member?.phone ?? account?.phone ?? actor.phone };
  }

  /** For callers that have checked the permission. */
  emailsOf(scope: TenantScope, manager: EntityManager): Promise<string[]> {
    return this.members.emails(scope, manager);
  }

  async list(actor: Actor, tenantId: string, page: Page): Promise<PageOfRows<MemberEntity>> {
    return this.members.list(await this.access.authorize(actor, tenantId, Permission.MEMBER_MANAGE), page);
  }

  /** @throws AppError MEMBER_EXISTS, PASSWORD_TOO_WEAK, ACCOUNT_EXISTS, ACCOUNT_ELSEWHERE; FORBIDDEN for a role above the actor's own */
  async invite(actor: Actor, tenantId: string, invitation: Invitation): Promise<MemberEntity> {
    const scope = await this.access.authorize(actor, tenantId, Permission.MEMBER_MANAGE);
    await this.requireRoleOrLess(actor, scope, invitation.role);
    const { email, role } = invitation;
    if (invitation.password != null) requireStrongPassword(invitation.password, email, ['password']);
    const passwordHash = invitation.password == null ? null : await hashPassword(invitation.password);
    const id = randomUUID();
    try {
      await runInTransaction(this.dataSource, async (manager) => {
        const accountId = await this.accountFor(actor, scope, invitation, passwordHash, manager);
        await this.members.insert(
          { id, tenantId, email, name: invitation.name ?? null, phone: invitation.phone ?? null, accountId, role, createdBy: stampOf(actor) },
          manager,
        );
        await this.record(actor, scope, 'member.invited', { email, role }, manager);
      });
    } catch (error) {
      if (violatedUnique(error) === null) throw error;
      throw new AppError('MEMBER_EXISTS', `${email} is a member already`, { field: ['email'], cause: error });
    }
    const member = await this.members.findById(id);
    if (member === null) throw notFound('Member');
    return member;
  }

  /** @throws AppError LAST_OWNER; FORBIDDEN for a role, former or new, above the actor's own */
  async setRole(actor: Actor, memberId: string, role: MemberRole): Promise<MemberEntity> {
    return this.change(actor, memberId, async (member, scope, manager) => {
      await this.requireRoleOrLess(actor, scope, role);
      if (role !== MemberRole.OWNER) await this.requireOtherOwner(member, scope, manager);
      await this.members.setRole(scope, member.id, role, manager);
      for (const watcher of this.watchers) await watcher(member, role, manager);
      await this.record(actor, scope, 'member.role-changed', { email: member.email, role, formerRole: member.role }, manager);
      return { ...member, role };
    });
  }

  /** @throws AppError LAST_OWNER; FORBIDDEN for a member whose role is above the actor's own */
  async remove(actor: Actor, memberId: string): Promise<MemberEntity> {
    return this.change(actor, memberId, async (member, scope, manager) => {
      await this.requireOtherOwner(member, scope, manager);
      await this.members.delete(scope, member.id, manager);
      for (const watcher of this.watchers) await watcher(member, null, manager);
      await this.record(actor, scope, 'member.removed', { email: member.email, role: member.role }, manager);
      return member;
    });
  }

  /**
   * A new password for somebody who has forgotten theirs; every token of the account ends. For the provider alone, as the account may be of other workspaces, too.
   *
   * @throws AppError PASSWORD_TOO_WEAK, ACCOUNT_MISSING; FORBIDDEN for accounts of the provider
   */
  async setPassword(actor: Actor, memberId: string, password: string): Promise<MemberEntity> {
    this.access.requireProvider(actor);
    const member = await this.get(actor, memberId);
    const account = member.accountId === null ? null : await this.accounts.findById(member.accountId);
    if (account === null) throw new AppError('ACCOUNT_MISSING', `${member.email} has no account with a password`);
    if (account.isProvider) throw new AppError('FORBIDDEN', 'An account of the provider gets a password from nobody else');
    requireStrongPassword(password, account.email, ['password']);
    const passwordHash = await hashPassword(password);
    const scope = { tenantId: member.tenantId };
    await runInTransaction(this.dataSource, async (manager) => {
      await this.accounts.setPassword(account.id, passwordHash, manager);
      await this.endSubscriptions(account.id, scope, manager);
      await this.record(actor, scope, 'member.password-set', { email: member.email }, manager);
    });
    return member;
  }

  private async change(actor: Actor, memberId: string, work: (member: MemberEntity, scope: TenantScope, manager: EntityManager) => Promise<MemberEntity>): Promise<MemberEntity> {
    const { tenantId } = await this.get(actor, memberId);
    return runInTransaction(this.dataSource, async (manager) => {
      await this.members.lock({ tenantId }, manager);
      const member = await this.members.find({ tenantId }, memberId, manager);
      if (member === null) throw notFound('Member');
      await this.requireRoleOrLess(actor, { tenantId }, member.role);
      return work(member, { tenantId }, manager);
    });
  }

  /**
   * The embedded account that the membership is for. An account that members of one tenant made is not taken in by those of another: whoever chose its
   * password would come along.
   */
  private async accountFor(actor: Actor, scope: TenantScope, invitation: Invitation, passwordHash: string | null, manager: EntityManager): Promise<string | null> {
    const { email } = invitation;
    const existing = await this.accounts.findByEmail(email, manager);
    if (existing !== null) {
      const isTrusted = existing.homeTenantId === null || existing.homeTenantId === scope.tenantId;
      // Not even a provider takes in a password that members of another tenant chose; a new one ends every token of the old.
      if (!isTrusted && actor.isProvider && passwordHash !== null) {
        await this.accounts.takeOver(existing.id, passwordHash, manager);
        await this.endSubscriptions(existing.id, scope, manager);
        return existing.id;
      }
      if (passwordHash !== null && isTrusted) throw new AppError('ACCOUNT_EXISTS', `${email} has an account already`, { field: ['password'] });
      if (!isTrusted) throw new AppError('ACCOUNT_ELSEWHERE', `${email} has an account that your workspace cannot take in`, { field: ['email'] });
      return existing.id;
    }
    if (passwordHash === null) return null;
    const id = randomUUID();
    await this.accounts.insert(
      {
        id,
        email,
        name: invitation.name ?? null,
        phone: invitation.phone ?? null,
        timeZone: 'UTC',
        passwordHash,
        homeTenantId: actor.isProvider ? null : scope.tenantId,
        isProvider: false,
        tokenEpoch: 0,
      },
      manager,
    );
    return id;
  }

  /** Nobody gives, takes or changes a role that may do what they may not. */
  private async requireRoleOrLess(actor: Actor, scope: TenantScope, role: MemberRole): Promise<void> {
    const ability = await this.access.abilityFor(actor);
    const missing = permissionsOfRole[role].find((permission) => !mayIn(ability, permission, scope.tenantId));
    if (missing !== undefined) throw forbidden(missing);
  }

  private async requireOtherOwner(member: MemberEntity, scope: TenantScope, manager: EntityManager): Promise<void> {
    if (member.role === MemberRole.OWNER && (await this.members.countOwners(scope, manager)) < 2) {
      throw new AppError('LAST_OWNER', `${member.email} is the last owner of the workspace`);
    }
  }

  /** Every process checks the tokens of the account's sockets again. */
  private endSubscriptions(accountId: string, { tenantId }: TenantScope, manager: EntityManager): Promise<void> {
    return this.bus.publish({ topic: 'account', id: accountId, tenantId, revision: 0 }, manager);
  }

  private record(actor: Actor, scope: TenantScope, action: string, detail: Record<string, string>, manager: EntityManager): Promise<void> {
    return this.audit.record({ action, tenantId: scope.tenantId, actor, detail }, manager);
  }
}

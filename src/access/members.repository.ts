import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, Repository } from 'typeorm';
import type { Actor } from '../platform/auth/actor.js';
import { findPage, type Page, type PageOfRows } from '../platform/database/page.js';
import type { TenantScope } from './access.service.js';
import { MemberEntity } from './member.entity.js';
import { MemberRole } from './role.js';

@Injectable()
export class MembersRepository {
  constructor(@InjectRepository(MemberEntity) private readonly rows: Repository<MemberEntity>) {}

  /** For `authorizeRow`, which finds the tenant of a member's id. */
  findById(id: string): Promise<MemberEntity | null> {
    return this.rows.findOneBy({ id });
  }

  find(scope: TenantScope, id: string, manager: EntityManager): Promise<MemberEntity | null> {
    return manager.findOneBy(MemberEntity, { tenantId: scope.tenantId, id });
  }

  list(scope: TenantScope, page: Page): Promise<PageOfRows<MemberEntity>> {
    return findPage(this.rows.createQueryBuilder('member').where('member.tenantId = :tenantId', scope), 'createdAt', page);
  }

  /** The membership that the actor's account, or the address in a host product's token, has in the tenant. */
  findOf(scope: TenantScope, actor: Pick<Actor, 'accountId' | 'email'>): Promise<MemberEntity | null> {
    const query = this.rows.createQueryBuilder('member').where('member.tenantId = :tenantId', scope);
    if (actor.accountId !== null) return query.andWhere('member.accountId = :accountId', { accountId: actor.accountId }).getOne();
    return actor.email === null ? Promise.resolve(null) : query.andWhere('lower(member.email) = :email', { email: actor.email.toLowerCase() }).getOne();
  }

  async emails(scope: TenantScope, manager: EntityManager): Promise<string[]> {
    const rows: { email: string }[] = await manager.query('select distinct lower(email) as email from member where tenant_id = $1', [scope.tenantId]);
    return rows.map(({ email }) => email);
  }

  async insert(member: Omit<MemberEntity, 'createdAt'>, manager: EntityManager): Promise<void> {
    await manager.insert(MemberEntity, member);
  }

  async setRole(scope: TenantScope, id: string, role: MemberRole, manager: EntityManager): Promise<void> {
    await manager.update(MemberEntity, { tenantId: scope.tenantId, id }, { role });
  }

  async delete(scope: TenantScope, id: string, manager: EntityManager): Promise<void> {
    await manager.delete(MemberEntity, { tenantId: scope.tenantId, id });
  }

  /** Lets changes of one tenant's members wait for each other, so that two owners cannot remove each other at once. */
  async lock(scope: TenantScope, manager: EntityManager): Promise<void> {
    await manager.query('select 1 from tenant where id = $1 for update', [scope.tenantId]);
  }

  countOwners(scope: TenantScope, manager: EntityManager): Promise<number> {
    return manager.countBy(MemberEntity, { tenantId: scope.tenantId, role: MemberRole.OWNER });
  }
}

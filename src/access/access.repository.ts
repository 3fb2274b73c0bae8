import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { Actor } from '../platform/auth/actor.js';
import type { Membership } from './ability.js';
import { isMemberRole } from './role.js';

interface MembershipRow {
  readonly tenant_id: string;
  readonly role: string;
}

@Injectable()
export class AccessRepository {
  constructor(private readonly dataSource: DataSource) {}

  async tenantExists(tenantId: string): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query('select 1 from tenant where id = $1', [tenantId]);
    return rows.length > 0;
  }

  /** An embedded account has the memberships that were made for it; a host product's user those of the e-mail address and those in the token. */
  async memberships(actor: Actor): Promise<Membership[]> {
    if (actor.accountId !== null) {
      const rows: MembershipRow[] = await this.dataSource.query('select tenant_id, role from member where account_id = $1', [actor.accountId]);
      return rows.flatMap(toMembership);
    }
    const byEmail: MembershipRow[] =
      actor.email === null ? [] : await this.dataSource.query('select tenant_id, role from member where lower(email) = $1', [actor.email.toLowerCase()]);
    if (actor.memberships.length === 0) return byEmail.flatMap(toMembership);
    const claimed: MembershipRow[] = await this.dataSource.query(
      `select t.id as tenant_id, c.role from unnest($1::text[], $2::text[]) as c (tenant, role)
       join tenant t on t.slug = c.tenant or t.id::text = c.tenant`,
      [actor.memberships.map(({ tenant }) => tenant), actor.memberships.map(({ role }) => role)],
    );
    return [...byEmail, ...claimed].flatMap(toMembership);
  }
}

function toMembership({ tenant_id: tenantId, role }: MembershipRow): Membership[] {
  return isMemberRole(role) ? [{ tenantId, role }] : [];
}

import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { Actor } from '../platform/auth/actor.js';
import { RowsOfEach } from '../platform/database/batched-reads.js';
import type { Membership } from './ability.js';
import type { AddressRule } from './address-rules.js';
import type { Permission } from './permission.js';
import { isMemberRole, permissionsOfRole } from './role.js';

interface MembershipRow {
  readonly tenant_id: string;
  readonly role: string;
  readonly address_rules: readonly AddressRule[];
}

interface AddressRulesRow {
  readonly address_rules: readonly AddressRule[];
}

/** @param tenant a place for the tenant's id */
const addressRulesOf = (tenant: string): string => `select t.address_rules from tenant t where t.id = ${tenant}`;
const membershipRows = 'select m.tenant_id, m.role, t.address_rules from member m join tenant t on t.id = m.tenant_id';

@Injectable()
export class AccessRepository {
  private readonly addressRules = new RowsOfEach<AddressRulesRow>(() => this.dataSource.manager, addressRulesOf('key.id'));

  constructor(private readonly dataSource: DataSource) {}

  /** Null for a tenant that does not exist. */
  async findAddressRules({ tenantId }: { readonly tenantId: string }, manager?: EntityManager): Promise<readonly AddressRule[] | null> {
    const rows = await this.addressRules.of(tenantId, manager);
    return rows[0]?.address_rules ?? null;
  }

  /** Of an API key of a tenant: none once that is deleted. */
  async membershipOfKey(tenantId: string, permissions: readonly Permission[]): Promise<Membership[]> {
    const rows: AddressRulesRow[] = await this.dataSource.query(`${addressRulesOf('$1')} and t.deleted_at is null`, [tenantId]);
    return rows.map(({ address_rules: addressRules }) => ({ tenantId, permissions, addressRules }));
  }

  /** An embedded account has the memberships that were made for it; a host product's user those of the e-mail address and those in the token. */
  async memberships(actor: Actor): Promise<Membership[]> {
    if (actor.accountId !== null) {
      const rows: MembershipRow[] = await this.dataSource.query(`${membershipRows} where m.account_id = $1`, [actor.accountId]);
      return rows.flatMap(toMembership);
    }
    const byEmail: MembershipRow[] =
      actor.email === null ? [] : await this.dataSource.query(`${membershipRows} where lower(m.email) = $1`, [actor.email.toLowerCase()]);
    if (actor.memberships.length === 0) return byEmail.flatMap(toMembership);
    const claimed: MembershipRow[] = await this.dataSource.query(
      `select t.id as tenant_id, c.role, t.address_rules from unnest($1::text[], $2::text[]) as c (tenant, role)
       join tenant t on t.slug = c.tenant or t.id::text = c.tenant where t.deleted_at is null`,
      [actor.memberships.map(({ tenant }) => tenant), actor.memberships.map(({ role }) => role)],
    );
    return [...byEmail, ...claimed].flatMap(toMembership);
  }
}

function toMembership({ tenant_id: tenantId, role, address_rules: addressRules }: MembershipRow): Membership[] {
  return isMemberRole(role) ? [{ tenantId, permissions: permissionsOfRole[role], addressRules }] : [];
}

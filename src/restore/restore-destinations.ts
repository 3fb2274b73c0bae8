import { Injectable } from '@nestjs/common';
import { AppError } from '#errors';
import type { TenantScope } from '../access/access.service.js';
import type { Actor } from '../platform/auth/actor.js';
import { type CopyTarget, CopyTargets } from '../tenants/copy-targets.js';
import { TenantsService } from '../tenants/tenants.service.js';
import type { RestorePlanCreateInput } from './dto/restore.inputs.js';
import type { RepointTarget } from './restore-repoint.js';

/** Where a restore puts the archive; neither: in place of the live database. */
export interface Destination {
  /** Beside the live database, which stays as it is. */
  readonly copy?: CopyTarget;
  /** Into a database that becomes the tenant's own. */
  readonly repoint?: RepointTarget;
}

@Injectable()
export class RestoreDestinations {
  constructor(
    private readonly tenants: TenantsService,
    private readonly copies: CopyTargets,
  ) {}

  /** @throws AppError BAD_USER_INPUT, FORBIDDEN, TARGET_*, SLUG_TAKEN, DATABASE_EXISTS */
  async choose(scope: TenantScope, actor: Actor, { mode, collections, target, cutover }: Pick<RestorePlanCreateInput, 'mode' | 'collections' | 'target' | 'cutover'>): Promise<Destination> {
    const isRepoint = cutover === 'REPOINT';
    if (mode === 'MERGE' && target != null) throw new AppError('BAD_USER_INPUT', 'target: a MERGE goes into the live database', { field: ['target'] });
    if (mode === 'MERGE' && isRepoint) throw new AppError('BAD_USER_INPUT', 'cutover: a MERGE goes into the live database', { field: ['cutover'] });
    if (isRepoint && collections != null) throw new AppError('BAD_USER_INPUT', 'cutover: REPOINT is of the whole database; chosen collections take the SWAP', { field: ['cutover'] });
    if (isRepoint && target?.newTenant != null) throw new AppError('BAD_USER_INPUT', 'target: REPOINT gives this workspace another database; a new workspace needs none', { field: ['target', 'newTenant'] });
    if (isRepoint) {
      const name = target?.newDatabase?.name;
      const { database, deployment } = name === undefined ? await this.copies.makeName(scope) : await this.copies.chooseDatabase(actor, scope, name);
      return { repoint: { database, deployment, from: (await this.tenants.get(scope)).targetDatabase } };
    }
    if (target?.newDatabase != null) return { copy: await this.copies.chooseDatabase(actor, scope, target.newDatabase.name) };
    return target?.newTenant == null ? {} : { copy: await this.copies.chooseTenant(actor, scope, target.newTenant) };
  }
}

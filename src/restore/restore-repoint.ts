import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import type { EngineSession, ExpectedNamespace } from '#engines';
import { AppError, asAppError } from '#errors';
import type { TenantScope } from '../access/access.service.js';
import { keptForMs } from '../backups/safety-backups.js';
import type { JsonObject, OperationContext } from '../operations/operation-handler.js';
import { CopyTargets } from '../tenants/copy-targets.js';
import { TenantPointer } from '../tenants/tenant-pointer.js';
import { TenantsService } from '../tenants/tenants.service.js';

/** A new database on the tenant's own server, which becomes the tenant's at the commit point. */
export const repointTarget = z.strictObject({ database: z.string(), deployment: z.string(), from: z.string() });
export type RepointTarget = z.output<typeof repointTarget>;

/** A move of the pointer, as the journal keeps it. */
export interface PointerJournal {
  readonly from: string;
  readonly to: string;
  /** What the former database held when the pointer was moved away from it. */
  readonly former: readonly ExpectedNamespace[];
}

export const lateWrites = 'The product did not confirm in time that its users are out; what they wrote to the former database is still there and comes back with undo';

/** What a restore with `cutover: REPOINT` does otherwise: the stage lies in a new database, and the commit point moves the tenant's pointer there. */
@Injectable()
export class RestoreRepoint {
  constructor(
    private readonly copies: CopyTargets,
    private readonly tenants: TenantsService,
    private readonly pointer: TenantPointer,
  ) {}

  /** Where the archive is staged, and where the collections get their names. The caller closes the session. */
  open(scope: TenantScope, { database, deployment }: RepointTarget): Promise<EngineSession> {
    return this.copies.open(scope, { database, deployment, newTenant: null });
  }

  /**
   * In maintenance: what the journal needs of the former database. Where live data cannot be read nothing is compared.
   *
   * @throws AppError LIVE_CHANGED when a collection was created, dropped or replaced since the plan was made
   */
  async leave(context: OperationContext<JsonObject>, { from, database: to }: RepointTarget, expected: readonly ExpectedNamespace[] | null): Promise<PointerJournal> {
    const former = await this.namespaces(context, expected !== null);
    if (expected !== null) requireSame(former, expected);
    return { from, to, former };
  }

  /** In the transaction of the commit point. */
  move(context: OperationContext<JsonObject>, { from, database: to }: RepointTarget, manager: EntityManager): Promise<void> {
    return this.pointer.move(context, { operationId: context.id, from, to, keptForMs }, 'COPY', manager);
  }

  /** What the tenant's database holds now. Unless it is `required`, one that cannot be read does not stop the work. */
  async namespaces(context: OperationContext<JsonObject>, required: boolean): Promise<ExpectedNamespace[]> {
    try {
      const session = await this.tenants.openTarget(context);
      try {
        return [...(await session.namespaces())];
      } finally {
        await session.close();
      }
    } catch (error) {
      context.signal.throwIfAborted();
      if (required) throw error;
      context.log(`The database that is left cannot be read: ${asAppError(error).message}`, 'WARN');
      return [];
    }
  }
}

/** What people have to know once the tenant has another database. */
export function pointerWarnings({ from, to }: PointerJournal): string[] {
  return [`The workspace's database is ${to} now: the product reads Tenant.database.name and starts its change streams anew; the former one, ${from}, stays 7 days as the way back and is then dropped`];
}

/** Differs for a collection that was dropped and made anew. */
export function identityOf({ name, uuid }: ExpectedNamespace): string {
  return `${name} ${uuid ?? ''}`;
}

function requireSame(live: readonly ExpectedNamespace[], expected: readonly ExpectedNamespace[]): void {
  const before = new Set(expected.map(identityOf));
  const now = new Set(live.map(identityOf));
  const changed = [...live.filter((one) => !before.has(identityOf(one))), ...expected.filter((one) => !now.has(identityOf(one)))];
  if (changed.length > 0) throw new AppError('LIVE_CHANGED', `Created, dropped or replaced since the plan was made: ${[...new Set(changed.map(({ name }) => name))].slice(0, 10).join(', ')}`);
}

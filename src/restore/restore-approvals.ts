import { Injectable, type OnModuleInit } from '@nestjs/common';
import { AccessService } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import type { ApprovableWork, Bound } from '../approvals/approvable-work.js';
import { ApprovalsService } from '../approvals/approvals.service.js';
import type { OperationEntity } from '../operations/operation.entity.js';
import { OperationsService } from '../operations/operations.service.js';
import type { Actor } from '../platform/auth/actor.js';
import type { RestorePlanEntity } from './restore-plan.entity.js';
import { RestorePlanner } from './restore-planner.js';

/** Lets people ask for the approval of restores and undos. */
@Injectable()
export class RestoreApprovals implements OnModuleInit {
  constructor(
    private readonly access: AccessService,
    private readonly approvals: ApprovalsService,
    private readonly operations: OperationsService,
    private readonly planner: RestorePlanner,
  ) {}

  onModuleInit(): void {
    this.approvals.register({ action: 'RESTORE', subjectType: 'RestorePlan', describe: (actor, id, { keepOld }) => this.describePlan(actor, id, keepOld) });
    this.approvals.register({ action: 'RESTORE', subjectType: 'Operation', describe: (actor, id) => this.describeUndo(actor, id) });
  }

  private async describePlan(actor: Actor, id: string, keepOld: boolean): Promise<ApprovableWork> {
    const plan = await this.planner.get(actor, id);
    if (keepOld || plan.bound.copy?.newTenant != null) this.access.requireProvider(actor);
    return restoreOf(plan, keepOld);
  }

  private async describeUndo(actor: Actor, id: string): Promise<ApprovableWork> {
    return undoOf(await this.access.authorizeRow(actor, 'Operation', await this.operations.findAnywhere(id), Permission.RESTORE_RUN));
  }
}

/**
 * A plan lasts minutes and an approval hours, so what is bound is what the plan would do and not the plan: the next one of the same archive, to the same
 * place, in the same way, is covered. What a plan finds anew each time, the live collections and the name that a new database gets, is not bound.
 */
export function restoreOf({ id, tenantId, bound, mode }: RestorePlanEntity, keepOld: boolean): ApprovableWork {
  const { source, choice, copy, repoint } = bound;
  const newTenant = copy?.newTenant ?? null;
  const binds: Record<string, Bound> = {
    source: source.kind === 'BACKUP' ? source.backupId : source.uploadId,
    sha256: source.sha256,
    mode,
    collections: choice.collections,
    merge: choice.merge === null ? null : { ...choice.merge },
    tenantName: bound.tenantName,
    targetRevision: bound.targetRevision,
    cutover: repoint === undefined ? 'SWAP' : 'REPOINT',
    copy: copy === undefined ? null : { database: copy.database, deployment: copy.deployment, newTenant: newTenant === null ? null : { slug: newTenant.slug, name: newTenant.name, environment: newTenant.environment } },
    keepOld,
  };
  const what = choice.collections === null ? 'the whole database' : `${choice.collections.length} collections (${choice.collections.slice(0, 5).join(', ')}${choice.collections.length > 5 ? ', ...' : ''})`;
  const where = copy === undefined ? (choice.merge === null ? 'in place of live data' : 'into live data') : newTenant === null ? `into the new database ${copy.database}` : `into the new workspace ${newTenant.slug}`;
  const summary = `${choice.merge === null ? 'restore' : 'merge'} ${what} from ${source.fileName} ${where}${keepOld ? ', without a way back' : ''}`;
  return { tenantId, action: 'RESTORE', subject: { type: 'RestorePlan', id }, summary, binds };
}

export function undoOf({ id, tenantId, kind, createdAt }: OperationEntity): ApprovableWork {
  const summary = `undo the ${kind.toLowerCase()} of ${createdAt.toISOString()}`;
  return { tenantId, action: 'RESTORE', subject: { type: 'Operation', id }, summary, binds: { undone: id } };
}

import { randomUUID } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import type { ApprovableWork } from '../approvals/approvable-work.js';
import { ApprovalsService } from '../approvals/approvals.service.js';
import { AnnouncementsService } from '../announcements/announcements.service.js';
import { AuditService } from '../audit/audit.service.js';
import { ClassesService } from '../classes/classes.service.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import type { StartOperation } from '../operations/operation-handler.js';
import type { OperationEntity } from '../operations/operation.entity.js';
import { OperationsService } from '../operations/operations.service.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { fromGlobalId, notFound, toGlobalId } from '../platform/graphql/global-id.js';
import { PoliciesService } from '../policies/policies.service.js';
import { requireNotSuspended, TenantsService } from '../tenants/tenants.service.js';
import type { ResetBeginInput, ResetExecuteInput } from './dto/reset.inputs.js';
import { type ChannelKind, confirmText, openStates, type ResetEntity } from './reset.entity.js';
import { missingChannels, ResetChannels } from './reset-channels.js';
import { ResetCodesService } from './reset-codes.js';
import { changedSince, listsOf } from './reset-lists.js';
import { requireOwn, requireState } from './reset-steps.js';
import { ResetHandler, type ResetInput } from './reset.handler.js';
import { ResetsRepository } from './resets.repository.js';

const validForMs = 30 * 60_000;
const triesPerReset = 5;

export interface StartedReset {
  readonly reset: ResetEntity;
  /** Null where it begins later. */
  readonly operation: OperationEntity | null;
}

/** What people do with a reset, step by step; each step is refused that comes too early or too late. */
@Injectable()
export class ResetsService implements OnModuleInit {
  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly tenants: TenantsService,
    private readonly classes: ClassesService,
    private readonly policies: PoliciesService,
    private readonly encryption: TenantEncryption,
    private readonly operations: OperationsService,
    private readonly resets: ResetsRepository,
    private readonly channels: ResetChannels,
    private readonly codes: ResetCodesService,
    private readonly handler: ResetHandler,
    private readonly approvals: ApprovalsService,
    private readonly announcements: AnnouncementsService,
  ) {}

  onModuleInit(): void {
    this.announcements.register('RESET', {
      start: async (actor, { tenantId, subjectId }, manager) => {
        await this.encryption.require({ tenantId }, manager);
        const reset = await this.lock({ tenantId }, subjectId, manager);
        requireState(reset, ['CONFIRMED']);
        await this.requireUnchanged(reset, manager);
        return (await this.begun(actor, reset, { idempotencyKey: null, idempotencyInput: {} }, manager)).id;
      },
      giveUp: ({ tenantId, subjectId }, manager) => this.resets.update({ tenantId }, subjectId, { state: 'CANCELED' }, manager),
    });
  }

  /** Another tenant's reset answers like one that does not exist. */
  async get(actor: Actor, id: string): Promise<ResetEntity> {
    return this.access.authorizeRow(actor, 'Reset', await this.resets.findAnywhere(id), Permission.RESET_RUN);
  }

  /**
   * Looks at the live collections and changes nothing. One that the same person has open is given up.
   *
   * @throws AppError RESET_NOTHING, TENANT_SUSPENDED, ENCRYPTION_KEY_MISSING, TARGET_*
   */
  async begin(actor: Actor, input: ResetBeginInput): Promise<ResetEntity> {
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', input.tenantId), Permission.RESET_RUN);
    await this.encryption.require(scope);
    const tenant = await this.tenants.get(scope);
    requireNotSuspended(tenant);
    const { resetCodes } = await this.policies.of(scope);
    const lists = listsOf(await this.classified(scope));
    if (lists.wiped.length === 0) throw new AppError('RESET_NOTHING', 'No collection of this workspace is wiped by a reset');
    const channels = await this.channels.views(actor, scope, resetCodes);
    const id = randomUUID();
    await runInTransaction(this.dataSource, async (manager) => {
      await this.resets.cancelOpen(scope, actor.id, manager);
      await this.resets.insert(
        { id, tenantId: scope.tenantId, actorId: actor.id, begunBy: stampOf(actor), reason: input.reason, state: 'BEGUN', lists, targetRevision: tenant.targetRevision, channels, triesLeft: triesPerReset },
        validForMs,
        manager,
      );
      const detail = { reason: input.reason, wiped: lists.wiped.length, preserved: lists.preserved.length, undecided: lists.undecided.length, counters: lists.counters.length };
      await this.audit.record({ action: 'reset.begun', tenantId: scope.tenantId, actor, subject: { type: 'Reset', id }, detail }, manager);
    });
    return this.reload(scope, id);
  }

  async sendCode(actor: Actor, resetId: string, channel: ChannelKind): Promise<ResetEntity> {
    const reset = await this.get(actor, fromGlobalId('Reset', resetId));
    await this.codes.send(actor, reset, channel);
    return this.reload(reset, reset.id);
  }

  async verifyCode(actor: Actor, resetId: string, channel: ChannelKind, code: string): Promise<ResetEntity> {
    const reset = await this.get(actor, fromGlobalId('Reset', resetId));
    await this.codes.verify(actor, reset, channel, code);
    return this.reload(reset, reset.id);
  }

  /** By anybody who may reset the workspace. @throws AppError RESET_OVER */
  async cancel(actor: Actor, resetId: string): Promise<ResetEntity> {
    const { id, ...scope } = await this.get(actor, fromGlobalId('Reset', resetId));
    const announcement = await this.announcements.findOf(scope, id);
    if (announcement?.state === 'PENDING') {
      await this.announcements.cancel(actor, toGlobalId('Announcement', announcement.id));
      return this.reload(scope, id);
    }
    await runInTransaction(this.dataSource, async (manager) => {
      const reset = await this.lock(scope, id, manager);
      if (reset.state === 'CANCELED') return;
      requireState(reset, openStates);
      await this.resets.update(scope, id, { state: 'CANCELED' }, manager);
      await this.audit.record({ action: 'reset.canceled', tenantId: scope.tenantId, actor, subject: { type: 'Reset', id } }, manager);
    });
    return this.reload(scope, id);
  }

  /** What `execute` would do, for a request for approval. */
  async describe(actor: Actor, id: string): Promise<ApprovableWork> {
    return resetOf(await this.get(actor, id));
  }

  /** @throws AppError STEP_UP_REQUIRED, APPROVAL_REQUIRED, RESET_TEXT_MISMATCH, RESET_TOO_EARLY, RESET_OVER, RESET_OF_ANOTHER, RESET_STALE, TENANT_SUSPENDED, OPERATION_ALREADY_RUNNING, START_TIME_INVALID, WORK_ANNOUNCED_ALREADY */
  async execute(actor: Actor, input: ResetExecuteInput): Promise<StartedReset> {
    const { id, tenantId } = await this.get(actor, fromGlobalId('Reset', input.resetId));
    await this.encryption.require({ tenantId });
    const request = { handler: this.handler, tenantId, actorId: actor.id, idempotencyKey: input.idempotencyKey ?? null, idempotencyInput: { resetId: id, confirmText: input.confirmText, startAt: input.startAt?.toISOString() ?? null } };
    const begin = () =>
      runInTransaction(this.dataSource, async (manager) => {
        const replay = await this.operations.findReplay(manager, request);
        if (replay !== null) return replay;
        await this.policies.requireFreshLogin(actor, { tenantId }, manager);
        const reset = await this.lock({ tenantId }, id, manager);
        await this.requireReady(actor, reset, input.confirmText, manager);
        await this.approvals.require(actor, resetOf(reset), manager);
        if (input.startAt == null) return this.begun(actor, reset, request, manager);
        await this.announcements.announce(actor, { tenantId }, { work: 'RESET', subjectId: id, startAt: input.startAt }, manager);
        await this.resets.update(reset, id, { state: 'CONFIRMED' }, manager);
        return null;
      });
    const operation = await this.audit.recordRefusals({ action: 'reset.refused', tenantId, actor, subject: { type: 'Reset', id } }, begin);
    return { operation, reset: await this.reload({ tenantId }, id) };
  }

  private async begun(actor: Actor, reset: ResetEntity, request: Pick<StartOperation<ResetInput>, 'idempotencyKey' | 'idempotencyInput'>, manager: EntityManager): Promise<OperationEntity> {
    const { id, tenantId, reason, lists } = reset;
    const { operation } = await this.operations.start(manager, { ...request, handler: this.handler, tenantId, actorId: actor.id, input: inputOf(reset), startedBy: stampOf(actor) });
    await this.resets.update(reset, id, { state: 'EXECUTING', operationId: operation.id }, manager);
    const detail = { resetId: id, reason, wiped: lists.wiped.length, counters: lists.counters.length };
    await this.audit.record({ action: 'reset.started', tenantId, actor, subject: { type: 'Operation', id: operation.id }, detail }, manager);
    return operation;
  }

  /** All that has to be true at the moment when a reset is confirmed, against rows that are locked until the operation is there. */
  private async requireReady(actor: Actor, reset: ResetEntity, typed: string, manager: EntityManager): Promise<void> {
    requireOwn(actor, reset);
    requireState(reset, ['VERIFIED']);
    const { resetCodes } = await this.policies.of(reset, manager);
    const [missing] = missingChannels(resetCodes, await this.codes.verifiedChannels(reset, manager));
    if (missing !== undefined) throw new AppError('RESET_TOO_EARLY', `The policy of the workspace has changed: verify a code by ${missing === 'EMAIL' ? 'e-mail' : 'SMS'} as well, in a new reset`);
    if (typed !== confirmText) throw new AppError('RESET_TEXT_MISMATCH', `This is not ${confirmText}`, { field: ['confirmText'] });
    await this.requireUnchanged(reset, manager);
  }

  /** And once more when it begins later. */
  private async requireUnchanged(reset: ResetEntity, manager: EntityManager): Promise<void> {
    const tenant = await this.tenants.getForUpdate(manager, reset.tenantId);
    requireNotSuspended(tenant);
    if (tenant.targetRevision !== reset.targetRevision) throw new AppError('RESET_STALE', "The workspace's database was changed since the reset was begun");
    const { wiped, counters } = reset.lists;
    const changed = changedSince(reset.lists, await this.classes.decisions(reset, [...wiped, ...counters].map(({ name }) => name)));
    if (changed.length > 0) throw new AppError('RESET_STALE', `The rules say something else now of ${changed.slice(0, 10).join(', ')}`);
  }

  private async lock(scope: TenantScope, id: string, manager: EntityManager): Promise<ResetEntity> {
    const reset = await this.resets.lock(scope, id, manager);
    if (reset === null) throw notFound('Reset');
    return reset;
  }

  private async reload(scope: TenantScope, id: string): Promise<ResetEntity> {
    const reset = await this.resets.find(scope, id);
    if (reset === null) throw notFound('Reset');
    return reset;
  }

  private async classified(scope: TenantScope): ReturnType<ClassesService['classify']> {
    const session = await this.tenants.openTarget(scope);
    try {
      return await this.classes.classify(scope, await session.catalogue());
    } finally {
      await session.close();
    }
  }
}

function inputOf({ id, lists: { wiped, counters } }: ResetEntity): ResetInput {
  return { resetId: id, wiped: wiped.map(({ name }) => name), counters: counters.map(({ name, field, resetTo }) => ({ name, field, resetTo })) };
}

/** Not the reset itself, which is over in minutes: the next one that wipes the same is covered. */
function resetOf({ id, tenantId, targetRevision, lists: { wiped, counters } }: ResetEntity): ApprovableWork {
  const names = wiped.map(({ name }) => name).sort();
  const summary = `reset the workspace: wipe ${names.length} collections (${names.slice(0, 5).join(', ')}${names.length > 5 ? ', ...' : ''})`;
  const sequences = counters.map(({ name, field, resetTo }) => ({ name, field, resetTo })).sort((a, b) => (a.name < b.name ? -1 : 1));
  return { tenantId, action: 'RESET', subject: { type: 'Reset', id }, summary, binds: { targetRevision, wiped: names, counters: sequences } };
}

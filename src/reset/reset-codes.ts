import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError, asAppError, redact } from '#errors';
import { AuditService } from '../audit/audit.service.js';
import type { Actor } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import { notFound } from '../platform/graphql/global-id.js';
import { PoliciesService } from '../policies/policies.service.js';
import { TenantsService } from '../tenants/tenants.service.js';
import type { ChannelKind, ResetCodeEntity, ResetEntity } from './reset.entity.js';
import { ResetChannels, missingChannels } from './reset-channels.js';
import { ResetCodeSecrets } from './reset-code.js';
import { requireOwn, requireState } from './reset-steps.js';
import { ResetsRepository, type SendCount } from './resets.repository.js';

const codeValidForMs = 10 * 60_000;
export const resendAfterMs = 60_000;
const sendsPerActor = 5;
const sendsPerTenant = 20;

/** The codes of a reset: sent, typed, and dead. */
@Injectable()
export class ResetCodesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly audit: AuditService,
    private readonly policies: PoliciesService,
    private readonly tenants: TenantsService,
    private readonly resets: ResetsRepository,
    private readonly channels: ResetChannels,
    private readonly secrets: ResetCodeSecrets,
  ) {}

  /**
   * A later code takes the place of an earlier one of the same channel. The caller has checked the permission.
   *
   * @throws AppError RESET_OVER, RESET_OF_ANOTHER, RESET_CODE_USED, RESET_CHANNEL_UNAVAILABLE, RATE_LIMITED, RESET_CODE_UNDELIVERED
   */
  async send(actor: Actor, { id, tenantId }: ResetEntity, channel: ChannelKind): Promise<void> {
    const scope = { tenantId };
    const tenant = await this.tenants.get(scope);
    const { resetCodes } = await this.policies.of(scope);
    const address = await this.channels.addressOf(actor, scope, channel, resetCodes);
    const code = this.secrets.newCode();
    const row = { id: randomUUID(), resetId: id, tenantId, actorId: actor.id, channel };
    await runInTransaction(this.dataSource, async (manager) => {
      await this.resets.serializeSends(scope, actor.id, manager);
      const reset = await this.lockOpen(actor, row, manager);
      if (reset.state === 'VERIFIED') throw used();
      if ((await this.codeOf(reset, channel, manager))?.verifiedAt != null) throw used();
      const waitMs = await this.resets.resendInMs(id, channel, resendAfterMs, manager);
      if (waitMs > 0) throw new AppError('RATE_LIMITED', 'A code was sent less than a minute ago', { retryAfterMs: Math.ceil(waitMs) });
      requireRoom(await this.resets.sentBy(actor.id, sendsPerActor, manager), sendsPerActor, 'to you');
      requireRoom(await this.resets.sentIn(scope, sendsPerTenant, manager), sendsPerTenant, 'in this workspace');
      await this.resets.insertCode({ ...row, hash: this.secrets.hashOf(row, code) }, codeValidForMs, manager);
      await this.record('reset.code-sent', actor, reset, { channel }, manager);
    }).catch((error: unknown) => this.refuse(error, actor, { id, tenantId }, channel));
    try {
      await this.channels.send(channel, address, { code, tenantName: tenant.name, validForMinutes: codeValidForMs / 60_000 });
    } catch (error) {
      await this.resets.failCode(row.id, redact(asAppError(error).message), this.dataSource.manager);
      await this.refuse(error, actor, { id, tenantId }, channel);
    }
    await runInTransaction(this.dataSource, async (manager) => {
      const reset = await this.resets.lock(scope, id, manager);
      if (reset?.state === 'BEGUN') await this.resets.update(scope, id, { state: 'CODE_SENT' }, manager);
    });
  }

  /**
   * A wrong code costs one of the tries of the whole reset, and the last one makes it void. What was typed is judged in one transaction that locks the reset: of two
   * at once each costs its own try. The caller has checked the permission.
   *
   * @throws AppError RESET_OVER, RESET_OF_ANOTHER, RESET_TOO_EARLY, RESET_CODE_WRONG, RESET_CODE_EXPIRED, RESET_CODE_USED
   */
  async verify(actor: Actor, { id, tenantId }: ResetEntity, channel: ChannelKind, typed: string): Promise<void> {
    const refusal = await runInTransaction(this.dataSource, async (manager) => {
      const reset = await this.lockOpen(actor, { resetId: id, tenantId }, manager);
      const code = await this.codeOf(reset, channel, manager);
      const { error, triesLeft } = await this.judge(reset, code, typed, manager);
      if (error === null && code !== null) {
        await this.resets.useCode(code.id, manager);
        await this.advance(reset, manager);
        await this.record('reset.code-verified', actor, reset, { channel }, manager);
        return null;
      }
      if (triesLeft < reset.triesLeft) await this.resets.update(reset, id, { triesLeft, ...(triesLeft === 0 ? { state: 'VOID' } : {}) }, manager);
      return error;
    }).catch((error: unknown) => this.refuse(error, actor, { id, tenantId }, channel));
    if (refusal !== null) await this.refuse(refusal, actor, { id, tenantId }, channel);
  }

  /** Why what was typed is not the code, and how many tries are left then. */
  private async judge(reset: ResetEntity, code: ResetCodeEntity | null, typed: string, manager: EntityManager): Promise<{ readonly error: AppError | null; readonly triesLeft: number }> {
    const { triesLeft } = reset;
    if (reset.state === 'VERIFIED' || code?.verifiedAt != null) return { error: used(), triesLeft };
    if (code === null) return { error: new AppError('RESET_TOO_EARLY', 'Send a code over this channel first', { field: ['channel'] }), triesLeft };
    if (await this.resets.isExpired(code.id, manager)) return { error: new AppError('RESET_CODE_EXPIRED', 'The code has expired', { field: ['code'] }), triesLeft };
    if (this.secrets.isRight(code, typed)) return { error: null, triesLeft };
    const left = triesLeft - 1;
    if (left === 0) return { error: new AppError('RESET_OVER', 'A wrong code was typed too often; the reset is void', { field: ['code'] }), triesLeft: 0 };
    return { error: new AppError('RESET_CODE_WRONG', `This is not the code; ${left} ${left === 1 ? 'try is' : 'tries are'} left`, { field: ['code'] }), triesLeft: left };
  }

  private async advance(reset: ResetEntity, manager: EntityManager): Promise<void> {
    const { resetCodes } = await this.policies.of(reset, manager);
    if (missingChannels(resetCodes, await this.verifiedChannels(reset, manager)).length === 0) await this.resets.update(reset, reset.id, { state: 'VERIFIED' }, manager);
  }

  async verifiedChannels(reset: ResetEntity, manager: EntityManager): Promise<ReadonlySet<ChannelKind>> {
    const codes = await this.resets.codesOf(reset, { delivered: true }, manager);
    return new Set(codes.filter(({ verifiedAt }) => verifiedAt !== null).map(({ channel }) => channel));
  }

  private async lockOpen(actor: Actor, { resetId, tenantId }: { readonly resetId: string; readonly tenantId: string }, manager: EntityManager): Promise<ResetEntity> {
    const reset = await this.resets.lock({ tenantId }, resetId, manager);
    if (reset === null) throw notFound('Reset');
    requireOwn(actor, reset);
    requireState(reset, ['BEGUN', 'CODE_SENT', 'VERIFIED']);
    return reset;
  }

  private async codeOf(reset: ResetEntity, channel: ChannelKind, manager: EntityManager): Promise<ResetCodeEntity | null> {
    return (await this.resets.codesOf(reset, { delivered: true }, manager)).find((code) => code.channel === channel) ?? null;
  }

  private record(action: string, actor: Actor, { id, tenantId }: ResetEntity, detail: { readonly channel: ChannelKind }, manager: EntityManager): Promise<void> {
    return this.audit.record({ action, tenantId, actor, subject: { type: 'Reset', id }, detail }, manager);
  }

  /** Outside the transaction, which is rolled back or over. */
  private async refuse(error: unknown, actor: Actor, { id, tenantId }: Pick<ResetEntity, 'id' | 'tenantId'>, channel: ChannelKind): Promise<never> {
    if (error instanceof AppError) {
      const { code, message } = error;
      await this.audit.record({ action: 'reset.code-refused', outcome: 'REFUSED', tenantId, actor, subject: { type: 'Reset', id }, detail: { channel, code, reason: message } });
    }
    throw error;
  }
}

function used(): AppError {
  return new AppError('RESET_CODE_USED', 'This was verified already', { field: ['channel'] });
}

function requireRoom({ count, freeInMs }: SendCount, limit: number, where: string): void {
  if (count >= limit) throw new AppError('RATE_LIMITED', `${limit} codes were sent ${where} in the last hour`, { retryAfterMs: freeInMs });
}

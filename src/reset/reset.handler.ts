import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import type { EngineSession, LeasedWork } from '#engines';
import { AppError } from '#errors';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { SafetyBackups } from '../backups/safety-backups.js';
import { ClassesService } from '../classes/classes.service.js';
import { TenantEncryption } from '../encryption/tenant-encryption.js';
import type { JsonObject, OperationContext, OperationHandler, SettledOperation } from '../operations/operation-handler.js';
import { OperationHandlers } from '../operations/operation-handlers.js';
import { CollectionReplacement, type Replacement, type ReplacementCourse } from '../restore/collection-replacement.js';
import { journalOf, lostWarnings, type RestoreJournal } from '../restore/restore-journal.js';
import { RestoreSettlement } from '../restore/restore-settlement.js';
import { ResetsRepository } from './resets.repository.js';

const resetInput = z.strictObject({
  resetId: z.uuid(),
  wiped: z.array(z.string()),
  counters: z.array(z.strictObject({ name: z.string(), field: z.string(), resetTo: z.int().nonnegative() })),
});
export type ResetInput = z.output<typeof resetInput>;

const resetPhases = ['SAFETY_BACKUP', 'MAINTENANCE_ON', 'WIPE', 'CHECK', 'MAINTENANCE_OFF', 'CLEANUP'] as const;
const dayMs = 24 * 60 * 60 * 1000;
const lastStateName = 'Before the reset, last state';

/** A restore of collections without documents: what was shown to the person who began it, and nothing else, is emptied. */
@Injectable()
export class ResetHandler implements OperationHandler<ResetInput>, OnModuleInit {
  readonly kind = 'RESET';
  readonly exclusive = true;
  readonly permission = Permission.RESET_RUN;
  readonly deadlineMs = dayMs;
  readonly input = resetInput;
  readonly weights = { SAFETY_BACKUP: 20, MAINTENANCE_ON: 3, WIPE: 3, CHECK: 1, MAINTENANCE_OFF: 1, CLEANUP: 3 };

  constructor(
    private readonly handlers: OperationHandlers,
    private readonly replacement: CollectionReplacement,
    private readonly encryption: TenantEncryption,
    private readonly settlement: RestoreSettlement,
    private readonly safety: SafetyBackups,
    private readonly classes: ClassesService,
    private readonly resets: ResetsRepository,
    private readonly audit: AuditService,
  ) {}

  onModuleInit(): void {
    this.handlers.register(this);
  }

  phases(): readonly string[] {
    return resetPhases;
  }

  async run(context: OperationContext<ResetInput>): Promise<JsonObject> {
    await this.encryption.require(context);
    return this.replacement.run(context, this.courseOf(context));
  }

  recover(context: OperationContext<ResetInput>): Promise<JsonObject> {
    return this.replacement.recover(context, this.courseOf(context));
  }

  /** Its safety backup is there for undo until 7 days after the end, not after the beginning. */
  async settled({ id, tenantId, input, state, failure }: SettledOperation<ResetInput>, manager: EntityManager): Promise<void> {
    const scope = { tenantId };
    const isDone = state === 'COMPLETED';
    await this.settlement.settle({ id, tenantId, state, failure }, manager);
    await this.resets.endOf(scope, id, isDone ? 'DONE' : state, manager);
    const detail = { state, code: failure?.code ?? null, resetId: input.resetId };
    await this.audit.record({ action: 'reset.ended', outcome: isDone ? 'OK' : 'FAILED', tenantId, actor: null, subject: { type: 'Operation', id }, detail }, manager);
    if (isDone) await this.safety.keepForUndo(scope, id, manager);
  }

  private courseOf(context: OperationContext<ResetInput>): ReplacementCourse {
    return {
      swapPhase: 'WIPE',
      safetyName: 'Before the reset',
      lastStateName,
      maintenanceMessage: 'The workspace is being reset',
      choose: (session, work) => this.choose(context, session, work),
      check: (_, session) => this.check(context, session),
      resultOf: (journal) => resultOf(context.input, journal),
    };
  }

  /** @throws AppError RESET_NOTHING where everything was dropped meanwhile */
  private async choose(context: OperationContext<ResetInput>, session: EngineSession, work: LeasedWork): Promise<Replacement> {
    const present = new Set((await session.catalogue()).filter(({ kind }) => kind !== 'view').map(({ name }) => name));
    const isThere = (name: string): boolean => {
      if (!present.has(name)) context.log(`"${name}" is not there any more: there is nothing to wipe`);
      return present.has(name);
    };
    const wiped = context.input.wiped.filter(isThere);
    const counters = context.input.counters.filter(({ name }) => isThere(name)).map(({ name, field, resetTo }) => ({ name, field, value: resetTo }));
    if (wiped.length === 0) throw new AppError('RESET_NOTHING', 'None of the collections to be wiped is there any more');
    return { names: [...wiped, ...counters.map(({ name }) => name)], source: () => session.hollow(wiped, counters, work) };
  }

  /** In maintenance still: what is in the wiped collections now was written by a product that does not heed it. */
  private async check(context: OperationContext<ResetInput>, session: EngineSession): Promise<void> {
    if (journalOf(context).checked !== undefined) return;
    await context.enter('CHECK');
    const live = await session.catalogue();
    const wiped = new Set(context.input.wiped);
    const counted = new Set(context.input.counters.map(({ name }) => name));
    const written = live.filter(({ name, documents }) => wiped.has(name) && documents > 0).map(({ name, documents }) => `The product wrote to "${name}" during the reset: it holds ${documents} documents`);
    const created = (await this.classes.classify(context, live)).flatMap(({ namespace: { name, kind }, decision }) =>
      decision?.resettable === true && kind !== 'view' && !wiped.has(name) && !counted.has(name) ? [`"${name}" came after the reset was begun: it was left as it is`] : [],
    );
    await context.faultPoint('reset.checked');
    await context.saveJournal({ checked: [...written, ...created] });
  }
}

function resultOf({ wiped, counters }: ResetInput, journal: RestoreJournal): JsonObject {
  const { live, warnings, checked, swapReport } = journal;
  const documents = new Map(live.map((row) => [row.name, row.documents]));
  const late = (swapReport?.interlopers ?? []).map(({ name, kept, documents: count }) => `The product created ${name} again during the reset: its ${count} documents are kept as ${kept}`);
  return {
    type: 'ResetResult',
    message: 'The workspace is reset. Ready for a fresh start',
    wiped: wiped.filter((name) => documents.has(name)).map((name) => ({ name, documents: documents.get(name) ?? 0 })),
    counters: counters.filter(({ name }) => documents.has(name)).map(({ name, field, resetTo }) => ({ name, field, resetTo })),
    warnings: [...warnings, ...(swapReport?.warnings ?? []), ...late, ...(checked ?? []), ...lostWarnings(journal, lastStateName)],
  };
}

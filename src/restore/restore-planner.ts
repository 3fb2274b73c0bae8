import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { ExpiryCounter } from '#archive';
import type { EngineSession, NamespaceState, TargetInspection, Work } from '#engines';
import { AppError, asAppError } from '#errors';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AuditService } from '../audit/audit.service.js';
import { AppConfig } from '../config/app-config.js';
import { archiveRefOf, isOwn } from '../backups/archive-files.js';
import type { BackupEntity } from '../backups/backup.entity.js';
import { BackupsService, requireUsable } from '../backups/backups.service.js';
import { MaintenanceAcknowledgement } from '../maintenance/maintenance-acknowledgement.js';
import { type Actor, stampOf } from '../platform/auth/actor.js';
import { fromGlobalId, notFound } from '../platform/graphql/global-id.js';
import { Slots } from '../platform/graphql/slots.js';
import { PoliciesService } from '../policies/policies.service.js';
import { type CopyTarget, CopyTargets } from '../tenants/copy-targets.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { chooseCollections, chooseMerged, isChosen, type RestoreChoice, wholeDatabase } from './restore-choice.js';
import { requireUsable as requireComplete, UploadsService } from '../transfers/uploads.service.js';
import { diffCollections, expiringOf, type NamespaceShape, toShape } from './collection-diff.js';
import type { RestorePlanCreateInput, RestoreSourceInput } from './dto/restore.inputs.js';
import { estimateOf } from './estimate.js';
import { type Destination, RestoreDestinations } from './restore-destinations.js';
import { PlanChecks } from './plan-checks.js';
import type { ExpiringRow, PlanCheckRow, RestorePlanEntity } from './restore-plan.entity.js';
import { RestorePlansRepository } from './restore-plans.repository.js';
import type { SourceRef } from './restore-source.js';
import { RestoreSources } from './restore-sources.js';
import { checkTargetSpace } from './target-space.js';
import { unlessQuiet } from './unless-quiet.js';
import { sourceOfUpload } from './upload-source.js';

const validForMs = 15 * 60 * 1000;
/** Nobody knows how long the others still read. */
const readAgainAfterMs = 10_000;

interface ArchiveView {
  readonly checks: readonly PlanCheckRow[];
  readonly shapes: readonly NamespaceShape[];
  /** Null: nobody knows. */
  readonly expiring: readonly ExpiringRow[] | null;
  /** Null: it is of a whole database, as far as anybody can tell. */
  readonly partOf: readonly string[] | null;
  /** Of the server that it was taken of; null where nothing tells. */
  readonly engineVersion: string | null;
}

interface LiveView {
  readonly checks: readonly PlanCheckRow[];
  /** Null: the database could not be read. */
  readonly catalogue: readonly NamespaceState[] | null;
  readonly inspection: TargetInspection | null;
}

/** What a source is, before anything of it was opened. */
export interface PlanSource {
  readonly ref: SourceRef;
  readonly backup: BackupEntity | null;
}

/** Makes plans: looks at the archive and at the live database, and changes neither. */
@Injectable()
export class RestorePlanner {
  private readonly fullReads: Slots;
  /** A whole read takes as long as it takes; one of which nothing comes for so long is given up. Tests shorten it. */
  quietForMs = 10 * 60 * 1000;

  constructor(
    config: AppConfig,
    private readonly access: AccessService,
    private readonly audit: AuditService,
    private readonly backups: BackupsService,
    private readonly tenants: TenantsService,
    private readonly uploads: UploadsService,
    private readonly sources: RestoreSources,
    private readonly checks: PlanChecks,
    private readonly plans: RestorePlansRepository,
    private readonly copies: CopyTargets,
    private readonly destinations: RestoreDestinations,
    private readonly acknowledgement: MaintenanceAcknowledgement,
    private readonly policies: PoliciesService,
  ) {
    this.fullReads = new Slots(config.limits.fullReadsPerTenant, config.limits.fullReads);
  }

  async create(actor: Actor, input: RestorePlanCreateInput): Promise<RestorePlanEntity> {
    const scope = await this.access.authorize(actor, fromGlobalId('Tenant', input.tenantId), Permission.RESTORE_RUN);
    await this.tenants.requireOpen(actor, scope);
    if (input.collections != null) await this.policies.require(actor, scope, 'partialRestores', 'collections');
    return this.plan(scope, actor, await this.findSource(scope, actor, input.source), input.fullRead ?? false, [], choiceOf(input), await this.destinations.choose(scope, actor, input));
  }

  /**
   * For callers that have checked the permission and own the source; `more` are checks of their own. Of an archive of chosen collections
   * the plan never takes in others, whatever `asked` says.
   *
   * @throws AppError BAD_USER_INPUT for a collection that the archive does not know, RATE_LIMITED where as many archives are read whole as may be at once
   */
  async plan(scope: TenantScope, actor: Actor, source: PlanSource, fullRead: boolean, more: readonly PlanCheckRow[] = [], asked: RestoreChoice = wholeDatabase, { copy, repoint }: Destination = {}): Promise<RestorePlanEntity> {
    const tenant = await this.tenants.get(scope);
    const [archive, present, environment, fresh] = await Promise.all([
      this.readArchive(scope, source, fullRead), this.readTarget(scope, copy), this.checks.environment(scope), repoint === undefined ? null : this.readTarget(scope, { ...repoint, newTenant: null }),
    ]);
    const live = repoint === undefined ? present : leavable(present, actor);
    const choose = asked.merge === null ? chooseCollections : chooseMerged;
    const choice: RestoreChoice = { ...asked, collections: choose(asked.collections, archive.shapes, archive.partOf) };
    if (repoint !== undefined && choice.collections !== null) throw new AppError('BAD_USER_INPUT', 'cutover: REPOINT is of the whole database; chosen collections take the SWAP', { field: ['cutover'] });
    const archived = archive.shapes.filter(({ name }) => isChosen(choice, name));
    const chosen = live.catalogue?.filter(({ name }) => isChosen(choice, name)) ?? null;
    // With REPOINT the live collections are neither renamed nor copied.
    const replaced = repoint === undefined ? (chosen ?? []).map(toShape) : [];
    const liveBytes = choice.collections === null ? (live.inspection?.sizeBytes ?? 0) : sum(chosen ?? [], ({ sizeBytes }) => sizeBytes);
    const version = live.inspection === null ? [] : [this.checks.version(live.inspection.version, archive.engineVersion)];
    const room = copy === undefined ? await Promise.all([this.checks.space(scope, liveBytes), this.checks.quota(scope, tenant.quotaBytes === null ? null : Number(tenant.quotaBytes))]) : [];
    const targetSpace = live.inspection === null ? [] : [checkTargetSpace(live.inspection, sum(archived, ({ bytes }) => bytes))];
    const createdAt = await this.tenants.now();
    const id = randomUUID();
    await this.plans.insert({
      id,
      tenantId: scope.tenantId,
      backupId: source.backup?.id ?? null,
      uploadId: source.ref.kind === 'UPLOAD' ? source.ref.uploadId : null,
      mode: choice.merge === null ? 'REPLACE' : 'MERGE',
      bound: {
        source: source.ref,
        tenantName: tenant.name,
        targetRevision: tenant.targetRevision,
        live: chosen?.map(({ name, uuid }) => ({ name, uuid })) ?? (repoint !== undefined && actor.isProvider ? [] : null),
        choice,
        ...(copy === undefined ? {} : { copy }),
        ...(repoint === undefined ? {} : { repoint }),
      },
      checks: [...more, ...environment, ...archive.checks, ...(fresh?.checks ?? []), ...live.checks, ...version, ...room, ...targetSpace, ...this.checks.dependencies(archived, choice, live.catalogue), ...this.checks.merge(archived, chosen ?? [], choice, live.inspection)],
      changes: chosen === null ? [] : diffCollections(chosen.map(toShape), archived),
      dataLossSince: dataLossSince(source),
      expiring: archive.expiring?.filter(({ name }) => isChosen(choice, name)) ?? null,
      estimate: estimateOf({
        documents: sum(archived, ({ documents }) => documents), bytes: sum(archived, ({ bytes }) => bytes), liveBytes, isMerge: choice.merge !== null, timeSeriesBytes: timeSeriesBytes(archived) + timeSeriesBytes(replaced),
        namespaces: archived.length + replaced.length, acknowledgementMs: copy === undefined ? (await this.acknowledgement.waitOf(scope)).ms : null,
      }),
      createdBy: stampOf(actor),
      createdAt,
      expiresAt: new Date(createdAt.getTime() + validForMs),
    });
    await this.audit.record({ action: 'restore.planned', tenantId: scope.tenantId, actor, subject: { type: 'RestorePlan', id }, detail: { fileName: source.ref.fileName, ...(copy === undefined && repoint === undefined ? {} : { database: (copy ?? repoint)?.database ?? null }) } });
    const plan = await this.plans.find(scope, id);
    if (plan === null) throw notFound('RestorePlan');
    return plan;
  }

  /** Another tenant's plan answers like one that does not exist. */
  async get(actor: Actor, id: string): Promise<RestorePlanEntity> {
    return this.access.authorizeRow(actor, 'RestorePlan', await this.plans.findAnywhere(id), Permission.RESTORE_RUN);
  }

  private async findSource(scope: TenantScope, actor: Actor, { backupId, uploadId }: RestoreSourceInput): Promise<PlanSource> {
    if (uploadId !== undefined) {
      const upload = await this.uploads.get(actor, uploadId);
      if (upload.tenantId !== scope.tenantId) throw notFound('Upload');
      return { ref: sourceOfUpload(requireComplete(upload)), backup: null };
    }
    if (backupId === undefined) throw new AppError('BAD_USER_INPUT', 'source: give a backupId or an uploadId', { field: ['source'] });
    const backup = await this.backups.get(actor, backupId);
    if (backup.tenantId !== scope.tenantId) throw notFound('Backup');
    requireUsable(backup);
    return { ref: sourceOf(backup), backup };
  }

  private async readArchive(scope: TenantScope, { ref, backup }: PlanSource, fullRead: boolean): Promise<ArchiveView> {
    const known = knownShapes(backup);
    const missing = await this.checks.key(scope, ref);
    const view = (checks: readonly PlanCheckRow[]): ArchiveView => ({ shapes: known, checks, partOf: backup?.collections ?? null, expiring: null, engineVersion: backup?.engineVersion ?? null });
    if (!missing.ok) return view([missing, this.checks.integrity(null, fullRead, 'It could not be checked without the key')]);
    // One of the public tools is read whole in any case.
    const isWhole = fullRead || !isOwn(ref);
    const release = isWhole ? this.fullReads.take(scope.tenantId) : null;
    if (isWhole && release === null) throw new AppError('RATE_LIMITED', 'As many archives are read whole at the moment as may be at once', { retryAfterMs: readAgainAfterMs });
    try {
      // The slot is held until the store has let go of the read, however long ago people were told that it hangs.
      const { shapes, expiring, partOf, engineVersion } = await unlessQuiet(this.quietForMs, (work) => this.look(scope, ref, isWhole, work).finally(() => release?.()));
      return { shapes, checks: [missing, this.checks.integrity(null, isWhole)], partOf, expiring, engineVersion };
    } catch (error) {
      const cause = asAppError(error);
      if (cause.code === 'INTERNAL') throw error;
      if (cause.code === 'ARCHIVE_FOREIGN' || cause.code === 'ARCHIVE_REPLACED') {
        await this.audit.record({ action: 'restore.source-refused', outcome: 'REFUSED', tenantId: scope.tenantId, actor: null, subject: { type: 'Backup', id: backup?.id ?? '' }, detail: { code: cause.code } });
      }
      return view([cause.code.startsWith('KEY_') ? this.checks.failedKey(cause) : missing, this.checks.integrity(cause, fullRead)]);
    }
  }

  private async look(scope: TenantScope, ref: SourceRef, isWhole: boolean, work: Work): Promise<Omit<ArchiveView, 'checks'>> {
    const source = await this.sources.open(scope, ref);
    try {
      const counter = isWhole ? new ExpiryCounter(Date.now()) : null;
      if (counter !== null) await source.verify(work, source.partOf, counter.take);
      const shapes = await source.shapes(work);
      const expiring = expiringOf(shapes).map(({ name, documents }) => ({ name, documents: counter?.documentsOf(name) ?? (documents === 0 ? 0 : null) }));
      return { shapes, partOf: source.partOf, expiring, engineVersion: source.engineVersion };
    } finally {
      await source.close();
    }
  }

  private async readTarget(scope: TenantScope, copy: CopyTarget | undefined): Promise<LiveView> {
    let session: EngineSession | null = null;
    try {
      session = copy === undefined ? await this.tenants.openTarget(scope) : await this.copies.open(scope, copy);
      const inspection = await session.inspect();
      const privileges = await this.checks.privileges(session);
      return { checks: [this.checks.target(null), privileges], catalogue: await session.catalogue(), inspection };
    } catch (error) {
      const cause = asAppError(error);
      if (!cause.code.startsWith('TARGET_') && cause.code !== 'SECRET_UNREADABLE') throw error;
      return { checks: [this.checks.target(cause)], catalogue: null, inspection: null };
    } finally {
      await session?.close();
    }
  }
}

/** A database that a REPOINT leaves need not be readable: without its safety backup the provider may go on, and a member is stopped when that fails. */
function leavable(live: LiveView, actor: Actor): LiveView {
  return { ...live, checks: live.checks.map((check) => ({ ...check, key: `former.${check.key}`, blocking: check.blocking && !actor.isProvider })) };
}

export function sourceOf(backup: BackupEntity): SourceRef {
  const takenAt = backup.trigger === 'IMPORT' ? backup.takenAt : backup.createdAt;
  return { kind: 'BACKUP', ...archiveRefOf(backup), keyId: backup.keyId, fileName: backup.fileName ?? backup.name, createdAt: takenAt?.toISOString() ?? null };
}

function choiceOf({ mode, collections, conflict, skipClashes }: RestorePlanCreateInput): RestoreChoice {
  const isMerge = mode === 'MERGE';
  if (!isMerge && (conflict != null || skipClashes === true)) throw new AppError('BAD_USER_INPUT', 'conflict and skipClashes: only a MERGE has conflicts', { field: [conflict != null ? 'conflict' : 'skipClashes'] });
  return { collections: collections ?? null, merge: isMerge ? { conflict: conflict ?? 'KEEP_LIVE', skipClashes: skipClashes ?? false } : null };
}

/** What the row knows of the archive, for when the archive itself cannot be opened. */
function knownShapes(backup: BackupEntity | null): NamespaceShape[] {
  return (backup?.contents ?? []).map(({ name, kind, documents, bytes, indexes }) => ({ name, kind, documents, bytes, indexCount: indexes, options: null, indexes: null }));
}

function sum<T>(rows: readonly T[], of: (row: T) => number): number {
  return rows.reduce((total, row) => total + of(row), 0);
}

/** Time series cannot be renamed: in SWAP the live ones are copied aside, and the archived ones into their places. */
function timeSeriesBytes(shapes: readonly NamespaceShape[]): number {
  return sum(shapes, ({ kind, bytes }) => (kind === 'timeseries' ? bytes : 0));
}

/** The moment that the archive shows: its cluster time, else when it was taken. */
function dataLossSince({ ref, backup }: PlanSource): Date | null {
  const seconds = Number(backup?.clusterTime?.split('.')[0]);
  if (Number.isFinite(seconds) && seconds > 0) return new Date(seconds * 1000);
  return ref.createdAt === null ? null : new Date(ref.createdAt);
}

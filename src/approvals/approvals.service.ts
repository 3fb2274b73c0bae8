import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AppError } from '#errors';
import { AccessService, type TenantScope } from '../access/access.service.js';
import { Permission } from '../access/permission.js';
import { AlertsService } from '../alerts/alerts.service.js';
import { AuditService } from '../audit/audit.service.js';
import { type Actor, type ActorStamp, stampOf } from '../platform/auth/actor.js';
import { runInTransaction } from '../platform/database/data-source.js';
import type { Page, PageOfRows } from '../platform/database/page.js';
import { notFound, parseGlobalId } from '../platform/graphql/global-id.js';
import { PoliciesService } from '../policies/policies.service.js';
import type { ApprovalAction } from '../policies/policy-enums.js';
import { TenantsService } from '../tenants/tenants.service.js';
import { type ApprovableKind, type ApprovableWork, hashOfWork, permissionOf, type WorkOptions } from './approvable-work.js';
import type { ApprovalEntity } from './approval.entity.js';
import { ApprovalsRepository } from './approvals.repository.js';

const validForHours = 24;
/** A person with one permission must not be able to flood those who decide. */
const mostWaiting = 50;

export interface ApprovalDraft {
  readonly action: ApprovalAction;
  /** A global id. */
  readonly subjectId: string;
  readonly note: string | null;
  readonly options: WorkOptions;
}

/** A second person's agreement to one piece of work: asked for, decided by somebody else, used once. */
@Injectable()
export class ApprovalsService {
  private readonly kinds: ApprovableKind[] = [];

  constructor(
    private readonly dataSource: DataSource,
    private readonly access: AccessService,
    private readonly alerts: AlertsService,
    private readonly approvals: ApprovalsRepository,
    private readonly audit: AuditService,
    private readonly policies: PoliciesService,
    private readonly tenants: TenantsService,
  ) {}

  /** Lets people ask for the approval of a feature's work. */
  register(kind: ApprovableKind): void {
    this.kinds.push(kind);
  }

  /**
   * Called where the work begins, in its transaction and after everything else was checked: where the policy wants a second person it uses up the approval
   * that the actor asked for, or refuses. The actor's permission was checked by the caller.
   *
   * @throws AppError APPROVAL_REQUIRED
   */
  async require(actor: Actor, work: ApprovableWork, manager: EntityManager): Promise<void> {
    const scope = { tenantId: work.tenantId };
    const { approvals } = await this.policies.of(scope, manager);
    if (!approvals.includes(work.action)) return;
    if (actor.kind === 'API_KEY') throw new AppError('APPROVAL_REQUIRED', 'An API key does nothing that takes two people');
    const hash = hashOfWork(work);
    const used = await this.approvals.use(scope, hash, actor.id, manager);
    if (used === null) throw new AppError('APPROVAL_REQUIRED', reasonOf(await this.approvals.newest(scope, hash, actor.id, manager)));
    await this.audit.record({ action: 'approval.used', ...scope, actor, subject: { type: 'Approval', id: used }, detail: { action: work.action, summary: work.summary } }, manager);
  }

  /** What the actor has asked for already and can still be used is returned as it is. @throws AppError APPROVAL_NOT_NEEDED, RATE_LIMITED and whatever the work itself refuses */
  async request(actor: Actor, draft: ApprovalDraft): Promise<ApprovalEntity> {
    this.access.requirePerson(actor);
    const work = await this.describe(actor, draft);
    const scope = await this.access.authorize(actor, work.tenantId, permissionOf[work.action]);
    await this.tenants.requireOpen(actor, scope);
    if (!(await this.policies.of(scope)).approvals.includes(work.action)) throw new AppError('APPROVAL_NOT_NEEDED', `The policy of the workspace wants no approval for ${work.action}`, { field: ['action'] });
    const hash = hashOfWork(work);
    return this.changing(scope, async (manager) => {
      const open = await this.approvals.newest(scope, hash, actor.id, manager);
      if (open !== null && isOpen(open)) return open;
      if ((await this.approvals.countWaiting(scope, manager)) >= mostWaiting) throw new AppError('RATE_LIMITED', `${mostWaiting} approvals of this workspace wait for a decision`);
      const id = randomUUID();
      await this.approvals.insert(scope, { id, work, hash, note: draft.note, requestedBy: stampOf(actor), validForHours }, manager);
      await this.audit.record({ action: 'approval.requested', ...scope, actor, subject: { type: 'Approval', id }, detail: { action: work.action, summary: work.summary, note: draft.note } }, manager);
      await this.alerts.raise({ ...scope, event: 'APPROVAL_REQUESTED', subject: id, text: withNote(`${nameOf(stampOf(actor))} asks for approval: ${work.summary}`, draft.note), detail: { approvalId: id, action: work.action } }, manager);
      return this.get(scope, id, manager);
    });
  }

  /**
   * Needs APPROVE and the permission for the work itself, and never comes from whoever asked.
   *
   * @throws AppError APPROVAL_BY_REQUESTER, APPROVAL_CLOSED, TENANT_SUSPENDED
   */
  async decide(actor: Actor, id: string, state: 'APPROVED' | 'REJECTED', note: string | null): Promise<ApprovalEntity> {
    const asked = await this.access.authorizeRow(actor, 'Approval', await this.approvals.findAnywhere(id), Permission.APPROVE);
    const scope = await this.access.authorize(actor, asked.tenantId, permissionOf[asked.action]);
    await this.tenants.requireOpen(actor, scope);
    const subject = { type: 'Approval', id };
    if (isSamePerson(stampOf(actor), asked.requestedBy)) {
      await this.audit.record({ action: 'approval.decided', outcome: 'REFUSED', ...scope, actor, subject, detail: { code: 'APPROVAL_BY_REQUESTER', decision: state } });
      throw new AppError('APPROVAL_BY_REQUESTER', 'Whoever asked for an approval does not decide it');
    }
    return this.changing(scope, async (manager) => {
      if (!(await this.approvals.decide(scope, id, { state, by: stampOf(actor), note }, manager))) throw new AppError('APPROVAL_CLOSED', closedBecause(await this.get(scope, id, manager)));
      const { action, summary } = asked;
      await this.audit.record({ action: 'approval.decided', ...scope, actor, subject, detail: { decision: state, action, summary, note } }, manager);
      await this.alerts.resolve({ ...scope, event: 'APPROVAL_REQUESTED', subject: id }, manager);
      await this.alerts.raise({ ...scope, event: 'APPROVAL_DECIDED', subject: id, text: withNote(`${nameOf(stampOf(actor))} has ${state.toLowerCase()}: ${summary}`, note), detail: { approvalId: id, action } }, manager);
      return this.get(scope, id, manager);
    });
  }

  /** For whoever asked, and for those who decide. */
  async read(actor: Actor, id: string): Promise<ApprovalEntity> {
    const row = await this.access.authorizeRow(actor, 'Approval', await this.approvals.findAnywhere(id), null);
    if (row.requestedBy.id !== actor.id) await this.access.authorize(actor, row.tenantId, Permission.APPROVE);
    return row;
  }

  /** Those who decide see all, everybody else the own ones. */
  async list(actor: Actor, tenantId: string, page: Page): Promise<PageOfRows<ApprovalEntity>> {
    const scope = await this.access.authorize(actor, tenantId, null);
    const [mayDecide] = await this.access.actionsFor(actor, tenantId, [Permission.APPROVE]);
    return this.approvals.list(scope, mayDecide?.allowed === true ? null : actor.id, page);
  }

  private async describe(actor: Actor, { action, subjectId, options }: ApprovalDraft): Promise<ApprovableWork> {
    const kinds = this.kinds.filter((kind) => kind.action === action);
    const parsed = parseGlobalId(subjectId);
    const kind = kinds.find(({ subjectType }) => subjectType === parsed?.type);
    if (parsed === null || kind === undefined) throw notFound(kinds[0]?.subjectType ?? 'Subject');
    return kind.describe(actor, parsed.uuid, options);
  }

  /** Under the lock of the tenant, and told to those who watch it. */
  private changing(scope: TenantScope, work: (manager: EntityManager) => Promise<ApprovalEntity>): Promise<ApprovalEntity> {
    return runInTransaction(this.dataSource, async (manager) => {
      const done: ApprovalEntity[] = [];
      await this.tenants.change(
        scope,
        async () => {
          done.push(await work(manager));
          return {};
        },
        manager,
      );
      const [approval] = done;
      if (approval === undefined) throw new Error('The approval was not changed');
      return approval;
    });
  }

  private async get(scope: TenantScope, id: string, manager: EntityManager): Promise<ApprovalEntity> {
    const approval = await this.approvals.find(scope, id, manager);
    if (approval === null) throw notFound('Approval');
    return approval;
  }
}

export function hasExpired({ state, expiresAt }: Pick<ApprovalEntity, 'state' | 'expiresAt'>): boolean {
  return (state === 'REQUESTED' || state === 'APPROVED') && expiresAt.getTime() <= Date.now();
}

function isOpen(approval: ApprovalEntity): boolean {
  return (approval.state === 'REQUESTED' || approval.state === 'APPROVED') && !hasExpired(approval);
}

/** One person may have an account of Holdfast and a token of the host product: the e-mail address tells. */
function isSamePerson(one: ActorStamp, other: ActorStamp): boolean {
  return one.id === other.id || (one.email !== null && one.email.toLowerCase() === other.email?.toLowerCase());
}

function nameOf({ email, name }: ActorStamp): string {
  return name ?? email ?? 'Somebody';
}

function withNote(text: string, note: string | null): string {
  return note === null ? text : `${text} (${note})`;
}

function reasonOf(newest: ApprovalEntity | null): string {
  if (newest === null || newest.state === 'USED') return 'A second person has to agree to this first';
  if (hasExpired(newest)) return 'The approval has expired';
  return newest.state === 'REJECTED' ? withNote('The approval was rejected', newest.decisionNote) : 'The approval has not been decided yet';
}

function closedBecause(approval: ApprovalEntity): string {
  return hasExpired(approval) ? 'The request has expired' : `The request is ${approval.state.toLowerCase()} already`;
}

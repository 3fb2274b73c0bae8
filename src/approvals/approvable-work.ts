import { createHash } from 'node:crypto';
import { Permission } from '../access/permission.js';
import type { Actor } from '../platform/auth/actor.js';
import type { ApprovalAction } from '../policies/policy-enums.js';

export type Bound = string | number | boolean | null | readonly Bound[] | { readonly [name: string]: Bound };

/** What somebody wants to do, as exactly as it is done. */
export interface ApprovableWork {
  readonly tenantId: string;
  readonly action: ApprovalAction;
  readonly subject: { readonly type: string; readonly id: string };
  /** A phrase for people, in the imperative: what would be done, to what. */
  readonly summary: string;
  /** All that decides what is done: an approval is good for the same values alone. */
  readonly binds: { readonly [name: string]: Bound };
}

/** What a request may say beside its subject, as the mutation that it is for would be given it. */
export interface WorkOptions {
  readonly keepOld: boolean;
  readonly giveUpUndo: boolean;
  readonly decrypted: boolean;
}

/** A feature's answer to "what would be done?" for one kind of subject. */
export interface ApprovableKind {
  readonly action: ApprovalAction;
  /** Of the global id. */
  readonly subjectType: string;
  /** Authorizes the actor to do it, and tells what it would be. @throws AppError NOT_FOUND, FORBIDDEN and what the mutation itself would refuse at once */
  describe(actor: Actor, subjectId: string, options: WorkOptions): Promise<ApprovableWork>;
}

/** Whoever asks, and whoever agrees, holds this permission. */
export const permissionOf: Readonly<Record<ApprovalAction, Permission>> = {
  RESTORE: Permission.RESTORE_RUN,
  RESET: Permission.RESET_RUN,
  DELETE_PERMANENTLY: Permission.BACKUP_DELETE,
  DOWNLOAD: Permission.BACKUP_DOWNLOAD,
};

export function hashOfWork({ tenantId, action, binds }: ApprovableWork): Buffer {
  return createHash('sha256').update(canonical({ tenantId, action, binds })).digest();
}

/** The same text for the same values, whatever order their names are in: rows come back from JSON columns in another one. */
function canonical(value: Bound): string {
  if (isList(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(',')}}`;
}

function isList(value: Bound): value is readonly Bound[] {
  return Array.isArray(value);
}

import { Permission } from '../access/permission.js';
import type { Actor } from '../platform/auth/actor.js';
import { type PolicySwitch, refusalIn } from '../policies/policies.service.js';
import type { BackupModel } from './backup.model.js';
import { protections } from './backup-deletion.js';
import type { Protection } from './backup-protection.js';

type ActionSubject = Pick<BackupModel, 'uuid' | 'state' | 'usable' | 'pinned' | 'held'>;

/** What a tenant's policy may switch off. */
export const governed: ReadonlyMap<Permission, PolicySwitch> = new Map([[Permission.BACKUP_DOWNLOAD, 'allowDownload'], [Permission.BACKUP_DELETE, 'selfServiceDelete']]);

/** Why the server would refuse it now, as a sentence for people; null where it would not. */
export function blockedReason(actor: Actor, backup: ActionSubject, permission: Permission, protection: Protection, noKey: string | null): string | null {
  const unusable = backup.usable ? null : `The backup cannot be used: its state is ${backup.state}`;
  const asked = governed.get(permission);
  const forbidden = asked === undefined ? null : refusalIn(protection.policy, actor, asked);
  if (forbidden !== null) return forbidden;
  switch (permission) {
    case Permission.BACKUP_DELETE: {
      if (backup.state === 'DELETED') return 'The backup is deleted already';
      if (backup.state === 'QUEUED' || backup.state === 'RUNNING') return 'The backup is still being taken';
      if (protection.inUse.has(backup.uuid)) return 'A running operation reads this backup';
      const [reason] = protections({ ...backup, id: backup.uuid }, protection.lastGoodId);
      return reason === undefined ? null : `The backup is kept: ${reason}`;
    }
    case Permission.RESTORE_RUN:
      return unusable ?? noKey;
    case Permission.BACKUP_DOWNLOAD:
      return unusable;
    case Permission.BACKUP_PIN:
      return backup.pinned ? null : unusable;
    default:
      return null;
  }
}

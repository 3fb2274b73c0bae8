import { registerEnumType } from '@nestjs/graphql';

/** What a role may do in one tenant. */
export enum Permission {
  BACKUP_CREATE = 'BACKUP_CREATE',
  BACKUP_READ = 'BACKUP_READ',
  BACKUP_DOWNLOAD = 'BACKUP_DOWNLOAD',
  BACKUP_DELETE = 'BACKUP_DELETE',
  BACKUP_PIN = 'BACKUP_PIN',
  RESTORE_RUN = 'RESTORE_RUN',
  RESET_RUN = 'RESET_RUN',
  SCHEDULE_MANAGE = 'SCHEDULE_MANAGE',
  STORAGE_MANAGE = 'STORAGE_MANAGE',
  TENANT_MANAGE = 'TENANT_MANAGE',
  MEMBER_MANAGE = 'MEMBER_MANAGE',
  AUDIT_READ = 'AUDIT_READ',
  APPROVE = 'APPROVE',
}

registerEnumType(Permission, { name: 'Permission', description: 'What a role may do in one tenant.' });

export const allPermissions: readonly Permission[] = Object.values(Permission);

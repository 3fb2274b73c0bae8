import { registerEnumType } from '@nestjs/graphql';
import { allPermissions, Permission } from './permission.js';

/** The presets that a member of a tenant can have. The provider is no member: it holds every permission on every tenant. */
export enum MemberRole {
  OWNER = 'OWNER',
  ADMIN = 'ADMIN',
  OPERATOR = 'OPERATOR',
  RESTORER = 'RESTORER',
  VIEWER = 'VIEWER',
}

registerEnumType(MemberRole, {
  name: 'MemberRole',
  valuesMap: {
    OWNER: { description: 'Everything in the tenant.' },
    ADMIN: { description: 'Everything but approving.' },
    OPERATOR: { description: 'Takes backups.' },
    RESTORER: { description: 'Restores backups.' },
    VIEWER: { description: 'Sees backups.' },
  },
});

export const permissionsOfRole: Readonly<Record<MemberRole, readonly Permission[]>> = {
  [MemberRole.OWNER]: allPermissions,
  [MemberRole.ADMIN]: allPermissions.filter((permission) => permission !== Permission.APPROVE),
  [MemberRole.OPERATOR]: [Permission.BACKUP_CREATE, Permission.BACKUP_READ],
  [MemberRole.RESTORER]: [Permission.RESTORE_RUN, Permission.BACKUP_READ],
  [MemberRole.VIEWER]: [Permission.BACKUP_READ],
};

export function isMemberRole(value: unknown): value is MemberRole {
  return typeof value === 'string' && Object.hasOwn(permissionsOfRole, value);
}

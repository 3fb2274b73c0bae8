import type { AdminCommand } from './admin-command.js';
import { auditVerify } from './audit-verify.js';
import { keys } from './keys.js';
import { rebuild, reconcile } from './reconcile.js';
import { recoveryKit } from './recovery-kit.js';
import { reencrypt } from './reencrypt.js';

/** In the order of the help. */
export const commands: readonly AdminCommand[] = [auditVerify, reconcile, rebuild, keys, reencrypt, recoveryKit];

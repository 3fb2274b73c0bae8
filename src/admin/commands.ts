import type { AdminCommand } from './admin-command.js';
import { auditVerify } from './audit-verify.js';
import { keys } from './keys.js';
import { rebuild, reconcile } from './reconcile.js';
import { recoveryKit } from './recovery-kit.js';
import { reencrypt } from './reencrypt.js';
import { storeAccept, stores } from './stores.js';

/** In the order of the help. */
export const commands: readonly AdminCommand[] = [auditVerify, reconcile, rebuild, stores, storeAccept, keys, reencrypt, recoveryKit];

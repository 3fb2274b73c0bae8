import type { AdminCommand } from './admin-command.js';
import { auditVerify } from './audit-verify.js';

/** In the order of the help. */
export const commands: readonly AdminCommand[] = [auditVerify];

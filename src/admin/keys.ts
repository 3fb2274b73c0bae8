import { KeysService } from '../keys/keys.service.js';
import { type AdminCommand, exitCodes } from './admin-command.js';
import { parseOptions } from './options.js';

export const keys: AdminCommand = {
  name: 'keys',
  options: '[--drop <key id>]',
  summary: 'List what each key protects; --drop says whether a key may be taken away (1: archives still need it)',
  async run(context, args) {
    const { drop } = parseOptions(args, { drop: { type: 'string' } });
    const states = await (await context.application()).get(KeysService, { strict: false }).list();
    if (drop === undefined) {
      for (const { keyId, isCurrent, isAvailable, archives, bytes, tenants } of states) {
        context.print(`${keyId}: ${archives} archives, ${bytes} bytes, ${tenants} workspaces${isCurrent ? ', current' : ''}${isAvailable ? '' : ', MISSING ON THIS SERVER'}`);
      }
      return states.some(({ isAvailable, archives }) => !isAvailable && archives > 0) ? exitCodes.failed : exitCodes.done;
    }
    const state = states.find(({ keyId }) => keyId === drop);
    if (state?.isCurrent === true) context.print(`${drop} must not be dropped: it is the current key`);
    else if (state !== undefined && state.archives > 0) context.print(`${drop} must not be dropped: ${state.archives} archives of ${state.tenants} workspaces need it; move them by holdfast-admin reencrypt`);
    else context.print(`${drop} may be dropped: no archive needs it`);
    return state?.isCurrent === true || (state?.archives ?? 0) > 0 ? exitCodes.failed : exitCodes.done;
  },
};

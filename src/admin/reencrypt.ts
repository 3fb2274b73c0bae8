import { setTimeout as delay } from 'node:timers/promises';
import { KeysService } from '../keys/keys.service.js';
import { OperationsService } from '../operations/operations.service.js';
import { type AdminCommand, exitCodes } from './admin-command.js';
import { parseOptions } from './options.js';
import { tenantIdOf } from './tenant-option.js';

const lookEveryMs = 1_000;
const ended: ReadonlySet<string> = new Set(['COMPLETED', 'FAILED', 'CANCELED']);

export const reencrypt: AdminCommand = {
  name: 'reencrypt',
  options: '[--tenant <slug>] [--wait]',
  summary: 'Let the workers move archives to the current key, those without encryption too where the policy wants it; --wait for their end',
  async run(context, args) {
    const { tenant, wait } = parseOptions(args, { tenant: { type: 'string' }, wait: { type: 'boolean' } });
    const application = await context.application();
    const { started, plain } = await application.get(KeysService, { strict: false }).reencryptAll(tenant === undefined ? null : await tenantIdOf(application, tenant));
    if (plain > 0) context.print(`${plain} archives are not encrypted and stay so: imports of the public tools, and those of workspaces whose policy is OFF`);
    if (started.length === 0) context.print(plain > 0 ? 'Every other archive has the current key' : 'Every archive has the current key');
    let isGood = true;
    for (const { id, tenantId } of started) {
      context.print(`Started ${id}`);
      if (wait !== true) continue;
      const operations = application.get(OperationsService, { strict: false });
      let operation = await operations.get(tenantId, id);
      for (; !ended.has(operation.state); operation = await operations.get(tenantId, id)) await delay(lookEveryMs);
      context.print(`${id}: ${operation.state}${operation.failure === null ? '' : ` ${operation.failure.message}`}`);
      isGood &&= operation.state === 'COMPLETED';
    }
    return isGood ? exitCodes.done : exitCodes.failed;
  },
};

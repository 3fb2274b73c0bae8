import { readFile, writeFile } from 'node:fs/promises';
import { KeysService } from '../keys/keys.service.js';
import { type AdminCommand, exitCodes, UsageError } from './admin-command.js';
import { parseOptions } from './options.js';
import { tenantIdOf } from './tenant-option.js';

export const recoveryKit: AdminCommand = {
  name: 'recovery-kit',
  options: '--tenant <slug> --passphrase-file <file> --out <file>',
  summary: "Write a workspace's keys under a passphrase, for holdfast-archive --tenant-key; never the master key",
  async run(context, args) {
    const { tenant, out, 'passphrase-file': passphraseFile } = parseOptions(args, { tenant: { type: 'string' }, out: { type: 'string' }, 'passphrase-file': { type: 'string' } });
    if (tenant === undefined || out === undefined || passphraseFile === undefined) throw new UsageError('Give --tenant, --passphrase-file and --out');
    const passphrase = (await readFile(passphraseFile, 'utf8')).replace(/\r?\n$/, '');
    const application = await context.application();
    const kit = await application.get(KeysService, { strict: false }).recoveryKit(await tenantIdOf(application, tenant), passphrase);
    // Never over an older kit, and for nobody else to read.
    await writeFile(out, kit, { flag: 'wx', mode: 0o600 });
    context.print(`Written to ${out}. Keep it and its passphrase apart from each other and from this server.`);
    return exitCodes.done;
  },
};

import { Reconciliation, type ReconcileOptions, type ReconcileRow } from '../reconcile/reconciliation.js';
import { type AdminCommand, type AdminContext, exitCodes } from './admin-command.js';
import { parseOptions } from './options.js';

export const reconcile: AdminCommand = {
  name: 'reconcile',
  options: '[--repair]',
  summary: 'Compare the archive store with the catalogue, both ways; --repair lets the catalogue follow the store. No file is removed',
  run: async (context, args) => compare(context, { repair: parseOptions(args, { repair: { type: 'boolean' } }).repair === true, makeTenants: false }),
};

export const rebuild: AdminCommand = {
  name: 'rebuild',
  options: '',
  summary: 'Make the catalogue from the archive store alone; workspaces that are gone come back suspended, and need a database',
  async run(context, args) {
    parseOptions(args, {});
    return compare(context, { repair: true, makeTenants: true });
  },
};

/** 0 when the two agree, or have been made to. */
async function compare(context: AdminContext, options: ReconcileOptions): Promise<number> {
  const reconciliation = (await context.application()).get(Reconciliation, { strict: false });
  let isGood = true;
  for await (const row of reconciliation.run(options)) {
    context.print(`${row.kind} ${row.key}: ${row.note}`);
    isGood &&= isSettled(row, options);
  }
  if (isGood) context.print('The store and the catalogue agree');
  return isGood ? exitCodes.done : exitCodes.failed;
}

function isSettled({ kind, backupId }: ReconcileRow, { repair }: ReconcileOptions): boolean {
  return repair && (kind === 'FOUND' || kind === 'HEALED' || kind === 'COPY_MISSING' || (kind === 'UNREGISTERED' && backupId !== null));
}

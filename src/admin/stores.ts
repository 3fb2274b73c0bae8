import { asAppError, redact } from '#errors';
import type { StoreName, StoreState } from '../platform/storage/store-identities.js';
import { StoreAcceptance } from '../reconcile/store-acceptance.js';
import { type AdminCommand, exitCodes, UsageError } from './admin-command.js';
import { parseOptions } from './options.js';

/** What `--found` takes for a store without an identity. */
const nothing = 'none';

export const stores: AdminCommand = {
  name: 'stores',
  options: '',
  summary: 'List the archive stores and whether each is the one that was used before (1: one is not, or does not answer)',
  async run(context, args) {
    parseOptions(args, {});
    const acceptance = (await context.application()).get(StoreAcceptance, { strict: false });
    let isGood = true;
    for (const name of acceptance.names) {
      try {
        const state = await acceptance.state(name);
        context.print(describe(state));
        isGood &&= !isChanged(state);
      } catch (error) {
        const { code, message } = asAppError(error);
        context.print(`${titleOf(name)}: ${code}: ${redact(message)}`);
        isGood = false;
      }
    }
    return isGood ? exitCodes.done : exitCodes.failed;
  },
};

export const storeAccept: AdminCommand = {
  name: 'store-accept',
  options: `(--main | --store <name>) --found <identity or ${nothing}>`,
  summary: `Say that the store that is there now is meant; --found repeats the identity that "stores" shows of it`,
  async run(context, args) {
    const { main, store, found } = parseOptions(args, { main: { type: 'boolean' }, store: { type: 'string' }, found: { type: 'string' } });
    if ((main === true) === (store !== undefined) || found === undefined) throw new UsageError('Give --main or --store, and --found');
    const acceptance = (await context.application()).get(StoreAcceptance, { strict: false });
    const { from, to } = await acceptance.accept(store ?? null, found === nothing ? null : found);
    context.print(`${titleOf(store ?? null)} is ${to} from now on; before it was ${from ?? 'not known'}. "holdfast-admin reconcile" shows which archives are not there`);
    return exitCodes.done;
  },
};

function isChanged({ known, found, archives }: StoreState): boolean {
  return known === null ? found === null && archives.expected > 0 && archives.found === 0 : known !== found;
}

function describe(state: StoreState): string {
  const { name, known, found, archives } = state;
  const verdict = isChanged(state) ? 'CHANGED' : known === null ? 'not used yet' : 'good';
  return `${titleOf(name)}: ${verdict}; known ${known ?? nothing}, found ${found ?? nothing}; ${archives.found} of ${archives.expected} archives that were looked for lie there`;
}

function titleOf(name: StoreName): string {
  return name === null ? 'The main store' : `The store ${name}`;
}

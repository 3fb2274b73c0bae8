import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { type ChainReport, type KnownHeads, verifyAuditChains } from '../audit/audit-chain.js';
import { type AdminCommand, exitCodes } from './admin-command.js';
import { parseOptions } from './options.js';

const earlierReport = z.array(z.object({ chain: z.string(), length: z.number(), hash: z.string() }));

export const auditVerify: AdminCommand = {
  name: 'audit-verify',
  options: '[--json] [--against <file>]',
  summary: 'Read the whole audit log and check its chains; <file> is what --json printed earlier',
  async run(context, args) {
    const values = parseOptions(args, { json: { type: 'boolean' }, against: { type: 'string' } });
    const known = values.against === undefined ? new Map() : await readHeads(values.against);
    const reports = await verifyAuditChains(await context.database(), known);
    if (values.json === true) context.print(JSON.stringify(reports, null, 2));
    else for (const report of reports) context.print(describe(report));
    return reports.some(({ firstBreak }) => firstBreak !== null) ? exitCodes.failed : exitCodes.done;
  },
};

async function readHeads(path: string): Promise<KnownHeads> {
  const parsed = earlierReport.parse(JSON.parse(await readFile(path, 'utf8')));
  return new Map(parsed.map(({ chain, length, hash }) => [chain, { length, hash }]));
}

function describe({ chain, events, removed, length, hash, firstBreak }: ChainReport): string {
  if (firstBreak === null) return `${chain}: good, ${events} events${removed > 0 ? ` (${removed} older ones removed)` : ''}, last ${length} ${hash}`;
  return `${chain}: BROKEN at event ${firstBreak.sequence}${firstBreak.eventId === null ? '' : ` (${firstBreak.eventId})`}: ${firstBreak.reason}`;
}

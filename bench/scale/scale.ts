import { cpus, loadavg, totalmem } from 'node:os';
import { ControlPlane } from '../control-plane.ts';
import type { BenchEnvironment } from '../environment.ts';
import type { BenchOptions } from '../options.ts';
import { ratiosOf, spreadOf } from '../statistics.ts';
import { measurePages, type PageTime } from './catalogue-pages.ts';
import { type ManyTenants, measureManyTenants } from './many-tenants.ts';
import { measureSubscribers, type Subscribers } from './subscribers.ts';
import { measureWriter, type WriterTimes } from './writer.ts';

const workers = 2;
/** A few hundredths are looked for between backups that differ by a tenth. */
const subscriberRoundsPerPair = 3;
const percentMore = (ratio: number): string => `${(100 * ratio - 100).toFixed(1)} %`;
/** One client asks for more than a person does. */
const env = { HOLDFAST_RATE_PER_MINUTE: '1000000', HOLDFAST_SOCKETS_PER_ACTOR: '1000000', HOLDFAST_LOG_LEVEL: 'warn' };

/** Each part on a control plane of its own; the report in Markdown. */
export async function measureScale(environment: BenchEnvironment, options: BenchOptions, { parts, subscribers, tenants }: NonNullable<BenchOptions['scale']>, loadBefore: number, say: (line: string) => void): Promise<string> {
  const { target, dataSet } = environment.server;
  const { uri, database } = target;
  const on = async <T>(workerCount: number, measure: (plane: ControlPlane) => Promise<T>): Promise<T> => {
    const plane = await ControlPlane.start(environment, workerCount, say, options.profileFolder, env);
    try {
      return await measure(plane);
    } finally {
      await plane.stop();
    }
  };
  const sections: string[] = [];
  if (parts.has('catalogue')) sections.push(pageTable(await on(0, (plane) => measurePages(plane, say))));
  if (parts.has('tenants')) sections.push(tenantText(await on(workers, (plane) => measureManyTenants(plane, uri, tenants + 1, say))));
  if (parts.has('subscribers')) {
    sections.push(subscriberText(await on(1, async (plane) => measureSubscribers(plane, await plane.createTenant('bench', 'Bench', { uri, database }), subscribers, options.pairs * subscriberRoundsPerPair, say))));
  }
  if (parts.has('writer')) sections.push(writerTable(await on(1, async (plane) => measureWriter(plane, await plane.createTenant('bench', 'Bench', { uri, database }), target, dataSet.bytes))));
  const setting = [
    `Measured ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC by \`${options.command}\`; the data set has ${(dataSet.bytes / 1e6).toFixed(1)} MB of BSON. Machine: ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'},`,
    `${Math.round(totalmem() / 2 ** 30)} GiB; PostgreSQL, mongod, the API, the workers and the clients all on it. Load average before ${loadBefore.toFixed(1)}, at the end ${(loadavg()[0] ?? 0).toFixed(1)}.`,
  ].join('\n');
  return [setting, ...sections].join('\n\n');
}

const cells = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`;
const ms = (value: number): string => `${value.toFixed(1)} ms`;
const seconds = (value: number): string => `${(value / 1000).toFixed(1)} s`;

function pageTable(pages: readonly PageTime[]): string {
  const rows = pages.map(({ list, items, medianMs, p95Ms, cpuMs }) => cells([list, String(items), ms(medianMs), ms(p95Ms), cpuMs === null ? 'unknown' : ms(cpuMs)]));
  return ['### 1,000 tenants with 20 backups each', '', 'From sending the request to having its answer, over HTTP on this machine.', '', cells(['List', 'Items', 'Median', 'p95', 'CPU of the API']), cells(['---', '---:', '---:', '---:', '---:']), ...rows].join('\n');
}

function tenantText({ tenants, workers: count, totalMs, waitMs, notOnce, noisyQueued, noisyBegunBeforeTheLast }: ManyTenants): string {
  return [
    `### ${tenants} small tenants due at once`,
    '',
    `${count} workers, all done ${seconds(totalMs)} after they were due; tenants with another number of backups than one: ${notOnce}. A backup began after ${seconds(waitMs.median)} (median; p95 ${seconds(waitMs.p95)}, longest ${seconds(waitMs.longest)}).`,
    `One more tenant had ${noisyQueued} verifications waiting before; ${noisyBegunBeforeTheLast} of them began before the last of the others' backups did.`,
  ].join('\n');
}

function subscriberText({ subscribers, aloneMs, watchedMs, latencyMs, events, notOnce, apiMs, clientMs }: Subscribers): string {
  const [alone, watched] = [spreadOf(aloneMs).median, spreadOf(watchedMs).median];
  const slower = spreadOf(ratiosOf(aloneMs, watchedMs));
  return [
    `### ${subscribers} subscribers of one operation`,
    '',
    `A backup took ${seconds(alone)} alone and ${seconds(watched)} watched (medians of ${aloneMs.length}, turn by turn); by rounds ${percentMore(slower.median)} more (${percentMore(slower.lowest)} to ${percentMore(slower.highest)}). ${events} events; subscribers that did not get the end exactly once: ${notOnce}.`,
    `From the notice of a change to having that state or a newer one ${ms(latencyMs.median)} (median; p95 ${ms(latencyMs.p95)}, longest ${ms(latencyMs.longest)}), of which up to 750 ms are meant: at most four states are sent a second, and the fewer the more are watching.`,
    `Watching took ${ms(apiMs / aloneMs.length)} of processor time in the API for each backup, ${((apiMs * 1000) / events).toFixed(0)} µs for each event with subscribing and all, and ${ms(clientMs / aloneMs.length)} in the one process that holds the sockets and stands for browsers elsewhere.`,
  ].join('\n');
}

function writerTable(times: readonly WriterTimes[]): string {
  const idle = times[0]?.p95Ms ?? NaN;
  const rows = times.map(({ during, writes, medianMs, p95Ms, bytesPerSecond }) =>
    cells([during, String(writes), ms(medianMs), ms(p95Ms), (p95Ms / idle).toFixed(2), bytesPerSecond === null ? '' : `${(bytesPerSecond / 1e6).toFixed(1)} MB/s`]),
  );
  return ['### A writer of the product meanwhile', '', 'One update after the other, each acknowledged by a majority.', '', cells(['During', 'Writes', 'Median', 'p95', 'p95 / idle', 'DUMP read']), cells(['---', '---:', '---:', '---:', '---:', '---:']), ...rows].join('\n');
}

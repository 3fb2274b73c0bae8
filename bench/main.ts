import { readFile, writeFile } from 'node:fs/promises';
import { cpus, loadavg, release, totalmem, type as systemName } from 'node:os';
import { contest } from './contest.ts';
import { BenchEnvironment, type BenchServer, once } from './environment.ts';
import { type JobResult, runJob } from './job.ts';
import { measureOperations } from './operations.ts';
import { type BenchOptions, parseOptions, usage } from './options.ts';
import { PublicTools } from './peers.ts';
import { plotOf } from './plot.ts';
import { type Measured, reportOf } from './report.ts';
import { measureScale } from './scale/scale.ts';

const docs = new URL('../docs/', import.meta.url);
const interruptions = ['SIGINT', 'SIGTERM', 'SIGHUP', 'disconnect'] as const;
const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(options: BenchOptions): Promise<void> {
  if (options.help) {
    process.stdout.write(`${usage}\n`);
    return;
  }
  const { tools, missing } = PublicTools.find(process.env);
  if (tools === null && options.scale === null) say(`The public tools are left out: ${missing.join(', ')} not found on PATH or in MONGO_TOOLS_DIR`);
  const before = loadavg()[0] ?? 0;
  say(`Filling a database with ${options.data.documents} documents`);
  const environment = await filled(options);
  if (environment === null) return;
  const stop = once(() => environment.stop());
  const forget = onInterruption(() => void stop().finally(() => process.exit(130)));
  try {
    if (options.scale !== null) {
      const report = await measureScale(environment, options, options.scale, before, say);
      process.stdout.write(`${report}\n`);
      if (options.write) await replaceBetweenMarkers(new URL('performance.md', docs), 'scale', report);
      return;
    }
    const measured = await measure(environment, tools, options, before);
    const report = reportOf(measured);
    process.stdout.write(`${report}\n`);
    if (options.write) {
      await replaceBetweenMarkers(new URL('performance.md', docs), 'bench', report);
      if (measured.runs.length > 0) await writeFile(new URL('performance.svg', docs), plotOf(measured));
    }
  } finally {
    await stop();
    forget();
  }
}

/** Returns how to end it: the end of the program disconnects, and is no interruption. */
function onInterruption(giveUp: () => void): () => void {
  for (const signal of interruptions) process.once(signal, giveUp);
  return () => {
    for (const signal of interruptions) process.off(signal, giveUp);
  };
}

/** Null where it was interrupted, which a large data set takes minutes for; nothing of it is left then. */
async function filled({ data, cacheMegabytes }: BenchOptions): Promise<BenchEnvironment | null> {
  const interruption = new AbortController();
  const forget = onInterruption(() => interruption.abort());
  try {
    return await BenchEnvironment.start(data, cacheMegabytes, process.env, say, interruption.signal);
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    process.exitCode = 130;
    return null;
  } finally {
    forget();
  }
}

async function measure(environment: BenchEnvironment, tools: PublicTools | null, options: BenchOptions, loadBefore: number): Promise<Measured> {
  const { server } = environment;
  say(`${server.dataSet.documents} documents, ${(server.dataSet.bytes / 1e6).toFixed(1)} MB of BSON, ${server.dataSet.indexes} secondary indexes`);
  const rates = options.parts.has('limits') ? (await runJob({ kind: 'limits', target: server.target })).rates : [];
  const runs = options.parts.has('engine') ? await contest(environment, tools, options, say) : [];
  const selection = runs.length > 0 ? await selectOne(server, options) : null;
  const operations = options.parts.has('operations') ? await measureOperations(environment, options, say) : null;
  return {
    options,
    dataSet: server.dataSet,
    rates,
    runs,
    selection,
    operations,
    machine: {
      processor: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryBytes: totalmem(),
      system: `${systemName()} ${release()}`,
      node: process.versions.node,
      mongod: server.version,
      tools: tools?.version ?? null,
    },
    at: new Date(),
    load: { before: loadBefore, after: loadavg()[0] ?? 0 },
  };
}

async function selectOne({ target, dataSet }: BenchServer, { codecs, pairs }: BenchOptions): Promise<JobResult> {
  const [codec = 'gzip'] = codecs;
  return runJob({ kind: 'selection', target, codec, number: pairs + 1, collection: dataSet.selected });
}

async function replaceBetweenMarkers(file: URL, name: string, report: string): Promise<void> {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const text = await readFile(file, 'utf8');
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${file.pathname} has lost its markers ${begin} and ${end}`);
  await writeFile(file, `${text.slice(0, from + begin.length)}\n\n${report}\n\n${text.slice(to)}`);
}

try {
  await main(parseOptions(process.argv.slice(2)));
} catch (error) {
  say(error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS') ? `${error.message}\n\n${usage}` : String(error instanceof Error ? (error.stack ?? error) : error));
  process.exitCode = 1;
}
if (process.connected) process.disconnect();

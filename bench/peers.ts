import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { childrenOf, peakMemoryOf } from './process-figures.ts';

/** What one run of a contestant cost. */
export interface PeerRun {
  readonly ms: number;
  /** Of the largest of the pipeline's processes; null where the system does not tell. */
  readonly peakBytes: number | null;
  /** Of all of them. */
  readonly cpuMs: number | null;
}

const password = 'bench';
const pollMs = 20;

/** mongodump, mongorestore and openssl, as an administrator would put them together. */
export class PublicTools {
  /** For the report. */
  readonly version: string;
  private readonly dump: string;
  private readonly restoreTool: string;

  private constructor(dump: string, restoreTool: string, version: string) {
    this.dump = dump;
    this.restoreTool = restoreTool;
    this.version = version;
  }

  /** From MONGO_TOOLS_DIR or the PATH; null, with what is missing, where one of them is not to be found. */
  static find(env: NodeJS.ProcessEnv): { readonly tools: PublicTools | null; readonly missing: readonly string[] } {
    const folders = [env['MONGO_TOOLS_DIR'] ?? '', ...(env['PATH'] ?? '').split(delimiter)].filter((folder) => folder !== '');
    const paths = ['mongodump', 'mongorestore', 'openssl', 'bash'].map((name) => [name, folders.map((folder) => join(folder, name)).find(isProgram)] as const);
    const missing = paths.filter(([, path]) => path === undefined).map(([name]) => name);
    const [dump, restore] = paths;
    if (missing.length > 0 || dump?.[1] === undefined || restore?.[1] === undefined) return { tools: null, missing };
    const text = spawnSync(dump[1], ['--version'], { encoding: 'utf8' }).stdout;
    const version = /mongodump version: (\d\S*)/.exec(text)?.[1] ?? '(version unknown)';
    return { tools: new PublicTools(dump[1], restore[1], version), missing };
  }

  backup(uri: string, database: string, file: string): Promise<PeerRun> {
    return run('"$TOOL" --quiet --uri="$URI" --db="$DATABASE" --gzip --archive | openssl enc -aes-256-ctr -pbkdf2 -pass env:BENCH_PASSWORD > "$FILE"', {
      TOOL: this.dump,
      URI: uri,
      DATABASE: database,
      FILE: file,
    });
  }

  restore(uri: string, database: string, file: string): Promise<PeerRun> {
    return run('openssl enc -d -aes-256-ctr -pbkdf2 -pass env:BENCH_PASSWORD < "$FILE" | "$TOOL" --quiet --uri="$URI" --nsInclude="$DATABASE.*" --gzip --archive --drop', {
      TOOL: this.restoreTool,
      URI: uri,
      DATABASE: database,
      FILE: file,
    });
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The second line of bash's `times`: user and system time of everything that it has waited for. */
function childrenMs(said: string): number | null {
  const match = /(\d+)m([\d.]+)s (\d+)m([\d.]+)s\s*$/.exec(said);
  if (match === null) return null;
  const [userMinutes = 0, user = 0, systemMinutes = 0, system = 0] = match.slice(1).map(Number);
  return ((userMinutes + systemMinutes) * 60 + user + system) * 1000;
}

async function run(pipeline: string, variables: Readonly<Record<string, string>>): Promise<PeerRun> {
  const began = performance.now();
  const shell = spawn('bash', ['-c', `set -o pipefail; ${pipeline}; code=$?; times >&2; exit $code`], {
    env: { PATH: process.env['PATH'], BENCH_PASSWORD: password, ...variables },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  shell.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2_000);
  });
  let peakBytes: number | null = null;
  // VmHWM only grows, so that the last look before the end misses little.
  const poll = setInterval(() => {
    for (const pid of shell.pid === undefined ? [] : childrenOf(shell.pid)) {
      const peak = peakMemoryOf(pid);
      if (peak !== null) peakBytes = Math.max(peakBytes ?? 0, peak);
    }
  }, pollMs);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      shell.once('error', reject);
      shell.once('close', resolve);
    });
    const ms = performance.now() - began;
    if (code !== 0) throw new Error(`The public tools ended with ${code}:\n${said}`);
    return { ms, peakBytes, cpuMs: childrenMs(said) };
  } finally {
    clearInterval(poll);
  }
}

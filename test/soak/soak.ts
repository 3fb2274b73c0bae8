import { takeStep } from './actions.ts';
import { checkEverything } from './checks.ts';
import { Plant } from './plant.ts';
import { Random } from './random.ts';
import { SoakFailure } from './soak-failure.ts';

export interface SoakOptions {
  readonly seed: number;
  readonly steps: number;
  /** No step begins after this many milliseconds. */
  readonly forMs?: number;
  /** Hears of every step that ended, with its number. */
  readonly onStep?: (step: number, what: string) => void;
}

export interface SoakReport {
  readonly seed: number;
  /** That ended well. */
  readonly steps: number;
  readonly ms: number;
  readonly failure: SoakReportFailure | null;
}

export interface SoakReportFailure {
  readonly step: number;
  readonly lines: readonly string[];
  /** What went before, the newest last. */
  readonly before: readonly string[];
}

const slugs = ['acme', 'bolt', 'core'] as const;
const remembered = 15;
const mostLines = 25;

/**
 * Random steps on several workspaces, each compared with a model in memory: after every step live data, backups, files and rows must be what it
 * says. The same seed takes the same steps, as far as they do not hang on how fast something went.
 */
export async function soak({ seed, steps, forMs = Infinity, onStep = () => undefined }: SoakOptions): Promise<SoakReport> {
  const from = performance.now();
  const before: string[] = [];
  const plant = await Plant.start(slugs);
  const report = (done: number, failure: SoakReportFailure | null): SoakReport => ({ seed, steps: done, ms: performance.now() - from, failure });
  try {
    for (const { product } of plant.tenants) await product.found(new Random(seed, -plant.newNumber()));
    for (let step = 1; step <= steps; step += 1) {
      if (performance.now() - from > forMs) return report(step - 1, null);
      try {
        const what = withoutLongNames(await takeStep(plant, new Random(seed, step)));
        before.push(`${step}. ${what}`);
        await checkEverything(plant);
        onStep(step, what);
      } catch (error) {
        const lines = error instanceof SoakFailure ? error.lines : [error instanceof Error ? (error.stack ?? error.message) : String(error)];
        return report(step - 1, { step, lines: shortened(lines.map(withoutLongNames)), before: before.slice(-remembered) });
      }
    }
    return report(steps, null);
  } finally {
    await plant.stop();
  }
}

function withoutLongNames(text: string): string {
  return text.replace(/x{20,}/g, 'xxx…');
}

function shortened(lines: readonly string[]): string[] {
  return lines.length <= mostLines ? [...lines] : [...lines.slice(0, mostLines), `and ${lines.length - mostLines} more`];
}

/** For people. */
export function describeFailure({ seed, failure }: SoakReport): string {
  if (failure === null) return '';
  return [`seed ${seed}, step ${failure.step}:`, ...failure.lines.map((line) => `  ${line}`), 'after:', ...failure.before.map((line) => `  ${line}`)].join('\n');
}

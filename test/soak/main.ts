// `npm run soak`: see docs/soak-test.md.
import { parseArgs } from 'node:util';
import { SharedServers } from '../support/shared-servers.ts';
import { describeFailure, soak } from './soak.ts';

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '10000' },
    seed: { type: 'string' },
    minutes: { type: 'string' },
    replay: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
});

/** `--replay <seed>:<step>` is all that a failure tells. */
const [replaySeed, replayStep] = values.replay?.split(':') ?? [];
const seed = wholeNumber('--seed', replaySeed ?? values.seed ?? String(Math.floor(Math.random() * 2 ** 31)));
const steps = wholeNumber('--steps', replayStep ?? values.steps);
const isVerbose = values.verbose || values.replay !== undefined;
const progressEvery = 100;

console.log(`soak: seed ${seed}, ${steps} steps${values.minutes === undefined ? '' : `, at most ${values.minutes} minutes`}`);
const servers = await SharedServers.open();
process.env['TEST_RUN_FOLDER'] = servers.folder;
const stop = (): void => void servers.close().finally(() => process.exit(130));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
const from = performance.now();
const seconds = (): string => `${Math.round((performance.now() - from) / 1000)} s`;
try {
  const report = await soak({
    seed,
    steps,
    ...(values.minutes === undefined ? {} : { forMs: wholeNumber('--minutes', values.minutes) * 60_000 }),
    onStep: (step, what) => {
      if (isVerbose) console.log(`${step}. ${what} (${seconds()})`);
      else if (step % progressEvery === 0) console.log(`soak: seed ${seed}, step ${step} of ${steps}, ${seconds()}`);
    },
  });
  if (report.failure === null) console.log(`soak: seed ${seed}, ${report.steps} steps in ${seconds()}: everything is as the model says`);
  else console.error(`soak: FAILED after ${seconds()}\n${describeFailure(report)}\nAgain: npm run soak -- --replay ${seed}:${report.failure.step}`);
  process.exitCode = report.failure === null ? 0 : 1;
} finally {
  await servers.close();
}

function wholeNumber(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    console.error(`soak: ${option} wants a whole number, not ${text}`);
    process.exit(2);
  }
  return value;
}

import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';

interface Profile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number } }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const shown = 25;

/** A CPU profile as text: the functions in which the main thread itself spent most of the time. */
function summaryOf({ nodes, samples, timeDeltas }: Profile): string {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const spent = new Map<string, number>();
  let total = 0;
  samples.forEach((id, index) => {
    const name = names.get(id) ?? '(unknown)';
    const micros = timeDeltas[index] ?? 0;
    total += micros;
    spent.set(name, (spent.get(name) ?? 0) + micros);
  });
  const lines = [...spent]
    .sort(([, a], [, b]) => b - a)
    .slice(0, shown)
    .map(([name, micros]) => `${(micros / 1000).toFixed(0).padStart(8)} ms ${((micros / total) * 100).toFixed(1).padStart(5)} %  ${name}`);
  return [`${(total / 1000).toFixed(0).padStart(8)} ms in all`, ...lines].join('\n');
}

function nameOf({ functionName, url, lineNumber }: Profile['nodes'][number]['callFrame']): string {
  const file = url.replace(/^.*\/(?:dist|node_modules)\//, '');
  return `${functionName === '' ? '(anonymous)' : functionName}${file === '' ? '' : ` ${file}:${lineNumber + 1}`}`;
}

for (const path of process.argv.slice(2)) {
  process.stdout.write(`${basename(path)}\n${summaryOf(JSON.parse(await readFile(path, 'utf8')) as Profile)}\n\n`);
}

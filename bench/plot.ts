import type { Contestant, Work } from './contest.ts';
import { labels, type Measured } from './report.ts';
import { spreadOf } from './statistics.ts';

const width = 720;
const left = 150;
const right = 90;
const barHeight = 22;
const gap = 8;
const titleHeight = 34;
const colours: Readonly<Record<Contestant, string>> = { gzip: '#1f6f8b', zstd: '#2a9d8f', none: '#8ab17d', peer: '#b0b0b0' };

interface Bar {
  readonly label: string;
  readonly colour: string;
  readonly ms: readonly number[];
}

/** Bars of the median times, with a line from the fastest to the slowest round. */
export function plotOf({ runs, options }: Measured): string {
  const groups = (['backup', 'restore'] as const).map((work) => ({ work, bars: barsOf(work) }));
  const slowest = Math.max(...runs.map(({ ms }) => ms));
  const scale = (ms: number): number => (ms / slowest) * (width - left - right);
  const parts: string[] = [];
  let y = 8;
  for (const { work, bars } of groups) {
    parts.push(text(8, y + 18, work === 'backup' ? 'Backup: seconds, engine alone (shorter is better)' : 'Restore: seconds, engine alone (shorter is better)', 'bold'));
    y += titleHeight;
    for (const { label, colour, ms } of bars) {
      const { median, lowest, highest } = spreadOf(ms);
      const middle = y + barHeight / 2;
      parts.push(
        text(left - 8, middle + 5, label, 'normal', 'end'),
        `<rect x="${left}" y="${y}" width="${scale(median).toFixed(1)}" height="${barHeight}" fill="${colour}"/>`,
        `<line x1="${(left + scale(lowest)).toFixed(1)}" y1="${middle}" x2="${(left + scale(highest)).toFixed(1)}" y2="${middle}" stroke="#222" stroke-width="2"/>`,
        text(left + scale(highest) + 8, middle + 5, `${(median / 1000).toFixed(2)} s`),
      );
      y += barHeight + gap;
    }
    y += gap;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" viewBox="0 0 ${width} ${y}" font-family="sans-serif" font-size="14">`,
    `<rect width="${width}" height="${y}" fill="#fff"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');

  function barsOf(work: Work): Bar[] {
    return [...options.codecs, 'peer' as const].flatMap((contestant) => {
      const ms = runs.filter((run) => run.work === work && run.contestant === contestant).map((run) => run.ms);
      return ms.length === 0 ? [] : [{ label: contestant === 'peer' ? labels.peer : `Holdfast, ${labels[contestant]}`, colour: colours[contestant], ms }];
    });
  }
}

function text(x: number, y: number, content: string, weight: 'normal' | 'bold' = 'normal', anchor: 'start' | 'end' = 'start'): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-weight="${weight}" text-anchor="${anchor}" fill="#222">${content}</text>`;
}

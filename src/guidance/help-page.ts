import { HelpKind, type HelpTextModel } from './help-text.model.js';

/** A text of `docs/help`, with the ids of the features that ask for it. */
export interface HelpEntry extends HelpTextModel {
  readonly features: readonly string[];
}

/** Where `support:` and `help:` lead; null: nowhere, the words stand without a link. */
export interface HelpLinks {
  readonly support: string | null;
  readonly help: string | null;
}

/**
 * Reads one page of `docs/help`: below its title, entries of a heading `## Title`, a comment `<!-- KIND feature-id … -->`, paragraphs and at most one list.
 *
 * @throws Error naming the entry that has another form
 */
export function parseHelpPage(topic: string, markdown: string, links: HelpLinks): HelpEntry[] {
  return markdown.split(/^## /m).slice(1).map((section) => parseEntry(topic, section, links));
}

function parseEntry(topic: string, section: string, links: HelpLinks): HelpEntry {
  const [title = '', ...lines] = section.trim().split('\n');
  const [, kindName = '', features = ''] = /^<!-- ([A-Z]+)((?: S\d-\d+)+) -->$/.exec(lines.find((line) => line !== '') ?? '') ?? [];
  const kind = Object.values(HelpKind).find((name) => name === kindName);
  if (kind === undefined) throw new Error(`${topic}, ${title}: <!-- KIND feature-id … --> is missing below the heading`);
  const body = withLinks(lines.slice(lines.findIndex((line) => line !== '') + 1).join('\n'), links).split('\n');
  return {
    id: `${topic} ${title}`.toLowerCase().replace(/[^a-z0-9]+/g, '-'),
    kind,
    title,
    text: body.filter((line) => !line.startsWith('- ')).join('\n').trim(),
    items: body.filter((line) => line.startsWith('- ')).map((line) => line.slice(2)),
    features: features.trim().split(' '),
  };
}

function withLinks(markdown: string, links: HelpLinks): string {
  return markdown.replace(/\[([^\]]+)\]\((support|help):\)/g, (_, words: string, target: keyof HelpLinks) => {
    const url = links[target];
    return url === null ? words : `[${words}](${url})`;
  });
}

export interface FrequencyTerm {
  /** As long as the frequency is the active one, so many of its newest stay however old they are. */
  readonly count: number;
  /** Each stays for so long at least. */
  readonly days: number;
}

const term = (count: number, days: number): FrequencyTerm => ({ count, days });

/** By the label that stays on a backup; the others are a CRON's own name, `cron` and `manual`. */
const terms: ReadonlyMap<string, FrequencyTerm> = new Map([
  ['8-hour', term(21, 7)],
  ['12-hour', term(14, 7)],
  ['24-hour', term(30, 30)],
  ['daily', term(30, 30)],
  ['3-day', term(20, 60)],
  ['7-day', term(13, 91)],
  ['weekly', term(13, 91)],
  ['15-day', term(12, 180)],
  ['monthly', term(12, 365)],
]);
const others = term(30, 30);

export function termOf(label: string): FrequencyTerm {
  return terms.get(label) ?? others;
}

import { z } from 'zod';

const time = '{yyyyMMdd_HHmmss}';
const tokens = ['{db}', '{label}', '{workspace}', time, '{id}'] as const;
export type FileNameToken = (typeof tokens)[number];
const literal = '[A-Za-z0-9._-]';
const anyToken = new RegExp(tokens.map((token) => token.replace(/[{}]/g, '\\$&')).join('|'), 'g');

/** What files are called before their suffix. Only what every file system and every store takes, and no way out of the folder. */
export const fileNameTemplate = z
  .string()
  .min(1)
  .max(60)
  .refine((template) => new RegExp(`^(?:${literal}|${anyToken.source})+$`).test(template), `may hold letters, digits, ".", "_", "-" and ${tokens.join(' ')}`)
  .refine((template) => /^[A-Za-z0-9{]/.test(template) && !template.includes('..'), 'must begin with a letter, a digit or a token, and hold no ".."')
  .refine((template) => template.includes(time), `must hold ${time}: files would not be told apart by their names`)
  .refine((template) => tokens.every((token) => template.split(token).length <= 2), 'may hold each token once');

/** The values are safe parts of a name already. */
export function fillFileName(template: string, values: Readonly<Record<FileNameToken, string>>): string {
  return template.replaceAll(anyToken, (token) => values[token as FileNameToken]);
}

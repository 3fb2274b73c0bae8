import { describe, expect, it } from '@jest/globals';
import { fileNameTemplate, fillFileName } from './file-name-template.js';

const values = { '{db}': 'shop', '{label}': 'daily', '{workspace}': 'north', '{yyyyMMdd_HHmmss}': '20260301_233005', '{id}': 'ab12cd34' };

describe('a template of file names', () => {
  it('is filled in, each token by its value', () => {
    const template = fileNameTemplate.parse('x-{workspace}.{db}_{label}_{yyyyMMdd_HHmmss}_{id}');
    expect(fillFileName(template, values)).toBe('x-north.shop_daily_20260301_233005_ab12cd34');
  });

  it('takes a value as it is, though it looks like a token', () => {
    expect(fillFileName('{db}_{label}', { ...values, '{db}': '{label}' })).toBe('{label}_daily');
  });

  it.each([
    '', '{label}', 'backup', '{db}/{yyyyMMdd_HHmmss}', '../{yyyyMMdd_HHmmss}', 'a..{yyyyMMdd_HHmmss}', '.{yyyyMMdd_HHmmss}', '-{yyyyMMdd_HHmmss}', '{yyyyMMdd_HHmmss}\\x', 'a b{yyyyMMdd_HHmmss}', 'ä{yyyyMMdd_HHmmss}',
    '{yyyyMMdd_HHmmss}\n', '{yyyyMMdd_HHmmss}\0', '{name}{yyyyMMdd_HHmmss}', '{{db}}{yyyyMMdd_HHmmss}', '{db{yyyyMMdd_HHmmss}', '{yyyyMMdd_HHmmss}{yyyyMMdd_HHmmss}', '{db}{db}{yyyyMMdd_HHmmss}', '%2e{yyyyMMdd_HHmmss}',
    `{yyyyMMdd_HHmmss}${'x'.repeat(44)}`,
  ])('is refused when it is %j', (template) => {
    expect(fileNameTemplate.safeParse(template).success).toBe(false);
  });
});

import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { buildSchema, parse, validate } from 'graphql';

const root = new URL('../', import.meta.url);
const readme = readFileSync(new URL('README.md', root), 'utf8');

describe('the README', () => {
  const documents = [...readme.matchAll(/```graphql\n([\s\S]*?)```/g)].map(([, text = '']) => text);
  const schema = buildSchema(readFileSync(new URL('schema.gql', root), 'utf8'));

  it.each(documents.map((text) => [/(?:query|mutation|subscription) (\w+)/.exec(text)?.[1], text]))('shows a document that the API takes: %s', (_name, text = '') => {
    expect(validate(schema, parse(text)).map(({ message }) => message)).toEqual([]);
  });

  it('links to pages that are there', () => {
    const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map(([, path = '']) => path);
    expect(links.filter((path) => !existsSync(new URL(path, root)))).toEqual([]);
    expect(links.length).toBeGreaterThan(0);
  });
});

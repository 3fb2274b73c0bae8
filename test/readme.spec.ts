import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { buildSchema, isEnumType, isInputObjectType, isInterfaceType, isObjectType, Kind, parse, validate } from 'graphql';
import { errorCatalogue } from '#errors';
import { commands as adminCommands } from '../src/admin/commands.ts';
import { variableNames, variableNotes } from '../src/config/env.schema.ts';

const root = resolve(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const pages = ['README.md', ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.md')).map((path) => join('docs', path))].sort();

const schema = buildSchema(read('schema.gql'));
const enumValues = Object.values(schema.getTypeMap()).flatMap((type) => (isEnumType(type) ? type.getValues().map(({ name }) => name) : []));
const { scripts } = JSON.parse(read('package.json')) as { readonly scripts: Readonly<Record<string, string>> };

/** Variables of the tests and of the command for the day without a server; none of them is the server's. */
const otherVariables = ['HOLDFAST_RECOVERY_PASSPHRASE', 'HOLDFAST_FUZZ_CASES', 'VERSITYGW_BINARY', 'SOAK_SEED', 'POSTGRES_PASSWORD'];
const knownVariables = new Set([...variableNames.flatMap((name) => (variableNotes(name).secret === true ? [name, `${name}_FILE`] : [name])), ...otherVariables]);
/** They are strings in the schema. */
const phases = ['READ_BACK', 'SAFETY_BACKUP', 'MAINTENANCE_ON', 'MAINTENANCE_OFF'];
const knownWords = new Set([...Object.keys(errorCatalogue), ...enumValues, ...knownVariables, ...phases]);

/** As GitHub makes them of headings. */
function anchorsOf(path: string): string[] {
  const lines = read(path).replace(/```[\s\S]*?```/g, '').split('\n');
  return lines.flatMap((line) => /^#+ (.+)$/.exec(line)?.[1] ?? []).map((title) => title.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-'));
}

/** Null for an address elsewhere. */
function brokenLink(page: string, link: string): string | null {
  if (/^[a-z]+:/.test(link)) return null;
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : relative(root, resolve(root, dirname(page), path));
  if (!existsSync(join(root, target))) return `${link}: there is no such file`;
  return anchor === undefined || anchorsOf(target).includes(anchor) ? null : `${link}: there is no such heading`;
}

function hasField(typeName: string, field: string): boolean {
  const type = schema.getType(typeName);
  return !(isObjectType(type) || isInterfaceType(type) || isInputObjectType(type)) || field in type.getFields();
}

describe.each(pages)('%s', (page) => {
  const text = read(page);
  const code = [...text.matchAll(/```[\s\S]*?```|`[^`\n]+`/g)].map(([found]) => found);

  it('shows documents that the API takes', () => {
    const documents = [...text.matchAll(/```graphql\n([\s\S]*?)```/g)].map(([, document = '']) => document);
    // A block may show several, one after the other.
    const problems = documents.flatMap((document) => parse(document).definitions.flatMap((definition) => validate(schema, { kind: Kind.DOCUMENT, definitions: [definition] }).map(({ message }) => message)));
    expect(problems).toEqual([]);
  });

  it('leads to files and headings that are there', () => {
    expect([...text.matchAll(/\]\(([^)]+)\)/g)].flatMap(([, link = '']) => brokenLink(page, link) ?? [])).toEqual([]);
    // Paths of this tree in running text; what has a placeholder in it is none.
    const paths = code.flatMap((found) => /^`((?:src|libs|test|scripts|bench|docs)\/[\w./-]+)`$/.exec(found)?.[1] ?? []);
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  it('names codes, enum values and variables that there are', () => {
    const words = new Set(code.flatMap((found) => found.match(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b/g) ?? []));
    expect([...words].filter((word) => !knownWords.has(word) && !/^(?:AWS|OTEL|ROOT|S3)_/.test(word))).toEqual([]);
  });

  it('names fields, commands and scripts that there are', () => {
    const all = code.join('\n');
    expect([...all.matchAll(/\b([A-Z][A-Za-z]+)\.([a-z][A-Za-z]*)\b/g)].filter(([, type = '', field = '']) => !hasField(type, field)).map(([found]) => found)).toEqual([]);
    const admin = [...text.matchAll(/holdfast-admin ([a-z][a-z-]+)/g)].map(([, name = '']) => name);
    expect(admin.filter((name) => !adminCommands.some((command) => command.name === name))).toEqual([]);
    const npm = [...all.matchAll(/npm run (?:-s |--silent )?([a-z]+)/g)].map(([, name = '']) => name);
    expect(npm.filter((name) => !(name in scripts))).toEqual([]);
  });
});

describe('the documentation', () => {
  it('has a row for every alert', () => {
    const rows = read('docs/notifications.md').split('\n').filter((line) => line.startsWith('|')).join('\n');
    const events = schema.getType('AlertEvent');
    expect(isEnumType(events) && events.getValues().map(({ name }) => name).filter((name) => !new RegExp(`\\b${name}\\b`).test(rows))).toEqual([]);
  });

  it('names every package that holdfast-archive needs where Holdfast is gone', () => {
    const sources = ['libs/archive', 'libs/errors'].flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts') && !path.endsWith('.spec.ts')).map((path) => read(join(folder, path))));
    const packages = new Set(sources.flatMap((source) => [...source.matchAll(/^(?:import|export) .* from '([^.#'][^']*)'/gm)].map(([, name = '']) => name).filter((name) => !name.startsWith('node:'))));
    const page = read('docs/restore-without-holdfast.md');
    expect([...packages].filter((name) => !page.includes(`node_modules/${name}`))).toEqual([]);
    expect(packages.size).toBeGreaterThan(0);
  });

  it('is reached from the README, page by page', () => {
    const seen = new Set<string>();
    const queue = ['README.md'];
    for (let page = queue.pop(); page !== undefined; page = queue.pop()) {
      if (seen.has(page)) continue;
      seen.add(page);
      for (const [, link = ''] of read(page).matchAll(/\]\(([^)#]+\.md)[^)]*\)/g)) queue.push(relative(root, resolve(root, dirname(page), link)));
    }
    // Help texts go to users, over `guidance`.
    expect(pages.filter((page) => !seen.has(page) && !page.startsWith(join('docs', 'help'))).map((page) => basename(page))).toEqual([]);
  });
});

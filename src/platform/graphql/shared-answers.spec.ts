import { describe, expect, it } from '@jest/globals';
import { buildSchema, type GraphQLObjectType, parse } from 'graphql';
import { givesAllTheSame, SharedAnswers } from './shared-answers.js';

const schema = buildSchema(`
  interface Thing { id: ID! }
  type Query { nothing: Boolean }
  type Secret { owner: String }
  type Work implements Thing { id: ID!, name: String, secret: Secret, thing: Thing, nested: Work }
  type Other implements Thing { id: ID! }
  type Subscription { work: Work }
`);
const fieldsOf = (type: string) => (schema.getType(type) as GraphQLObjectType).getFields();
Object.assign(fieldsOf('Work')['secret'] ?? {}, { resolve: () => ({ owner: 'whoever asks' }) });
Object.assign(fieldsOf('Other')['id'] ?? {}, { resolve: () => 'somebody' });
let named = 0;
const counted = { get name() { named += 1; return 'one'; } };

describe('givesAllTheSame', () => {
  it.each([
    ['subscription { work { id name nested { name __typename } } }', true],
    ['subscription { work { id secret { owner } } }', false],
    ['subscription { work { nested { nested { secret { owner } } } } }', false],
    ['subscription { work { ...more } } fragment more on Work { nested { secret { owner } } }', false],
    // One of the types that it may be has a resolver.
    ['subscription { work { thing { id } } }', false],
    ['subscription { work { thing { ... on Work { name } } } }', true],
  ])('%s: %s', (document, same) => {
    expect(givesAllTheSame(schema, parse(document))).toBe(same);
  });
});

describe('SharedAnswers', () => {
  it('makes one answer for all who ask the same of one payload, and another for each other question and payload', async () => {
    const answers = new SharedAnswers();
    const [document, other] = [parse('subscription ($more: Boolean = true) { work { name @include(if: $more) } }'), parse('subscription { work { alias: name } }')];
    const [payload, next] = [{ work: counted }, { work: counted }];
    const ask = (from: object, asked: typeof document, variableValues: Record<string, unknown>) => answers.of(from, { schema, document: asked, variableValues }, JSON.stringify(variableValues));
    const first = await ask(payload, document, {});
    expect(first.data).toEqual({ work: { name: 'one' } });
    expect(await ask(payload, document, {})).toBe(first);
    expect(named).toBe(1);
    expect((await ask(payload, document, { more: false })).data).toEqual({ work: {} });
    expect((await ask(payload, other, {})).data).toEqual({ work: { alias: 'one' } });
    expect(await ask(next, document, {})).not.toBe(first);
    expect(named).toBe(3);
  });
});

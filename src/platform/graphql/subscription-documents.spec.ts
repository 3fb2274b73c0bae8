import { describe, expect, it } from '@jest/globals';
import { buildSchema } from 'graphql';
import type { AppConfig } from '../../config/app-config.js';
import { DocumentLimits } from './document-limits.js';
import { SubscriptionDocuments } from './subscription-documents.js';

const schema = buildSchema(`
  type Query { nothing: Boolean }
  type Item { name: String, item: Item }
  type Work { items(first: Int): [Item!]! }
  type Subscription { work: Work }
`);
const limits = () => new DocumentLimits({ limits: { maxDepth: 5, maxCost: 50, maxAliases: 5 } } as AppConfig);
const text = 'subscription ($first: Int) { work { items(first: $first) { item { name } } } }';

describe('SubscriptionDocuments', () => {
  it('examine a document once', () => {
    const documents = new SubscriptionDocuments(limits());
    const first = documents.prepare(schema, text, undefined, { first: 1 });
    expect(first).toMatchObject({ sameForAll: true });
    expect(documents.prepare(schema, text, undefined, { first: 1 })).toBe(first);
    expect(documents.prepare(schema, `${text} `, undefined, { first: 1 })).not.toBe(first);
  });

  it('refuse variables that make a known document cost too much', () => {
    const documents = new SubscriptionDocuments(limits());
    documents.prepare(schema, text, undefined, { first: 1 });
    for (let time = 0; time < 2; time += 1) expect(() => documents.prepare(schema, text, undefined, { first: 49 })).toThrow(/costs/);
  });

  it('say of a faulty document each time what is wrong with it', () => {
    const documents = new SubscriptionDocuments(limits());
    for (let time = 0; time < 2; time += 1) expect(documents.prepare(schema, 'subscription { work { nothing } }', undefined, undefined)).toMatchObject([{ message: expect.stringContaining('nothing') }]);
    expect(() => documents.prepare(schema, '{ nothing }', undefined, undefined)).toThrow(/Sockets carry subscriptions alone/);
  });

  it('know the operations of one document apart', () => {
    const documents = new SubscriptionDocuments(limits());
    const two = 'subscription a { work { items { name } } } query b { nothing }';
    documents.prepare(schema, two, 'a', undefined);
    expect(() => documents.prepare(schema, two, 'b', undefined)).toThrow(/Sockets carry subscriptions alone/);
  });
});
